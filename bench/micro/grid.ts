// Compares fixed grids of bets by simulation: mean delay over Wald's optimum ln(1/α)/KL. Knows the tests' formulas, no
// evidence. Usage: node bench/micro/grid.ts [runs] [present|all]
const runs = Number(process.argv[2] ?? 300)

interface Bet {
  readonly g: number
  readonly p0: number
  readonly weight: number
}

function random(seed: number): () => number {
  let s = seed >>> 0
  return () => {
    s = (s + 0x6d2b79f5) >>> 0
    let t = Math.imul(s ^ (s >>> 15), s | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
const u = random(7)
const normal = () => Math.sqrt(-2 * Math.log(1 - u())) * Math.cos(2 * Math.PI * u())
function binomial(n: number, p: number): number {
  if (n === 0 || p === 0) return 0
  if (p === 1) return n
  if (n < 30) {
    let k = 0
    for (let i = 0; i < n; i++) if (u() < p) k++
    return k
  }
  if (n * p < 30) {
    let k = -1
    let at = 0
    const l = Math.log1p(-p)
    while (at <= n) {
      at += Math.floor(Math.log(1 - u()) / l) + 1
      k++
    }
    return k
  }
  return Math.max(0, Math.min(n, Math.round(n * p + Math.sqrt(n * p * (1 - p)) * normal())))
}
const kl = (p: number, q: number) =>
  (p === 0 ? 0 : p * Math.log(p / q)) + (p === 1 ? 0 : (1 - p) * Math.log((1 - p) / (1 - q)))

/** least KL per request to a null with pc ≤ ρ·pb (harm, ρ = 1) or pc ≥ ρ·pb (safe). */
function information(w: number, pc: number, pb: number, rho: number): number {
  let [a, b] = [1e-9, Math.min(1, 1 / rho) - 1e-9]
  const f = (x: number) => w * kl(pc, Math.min(1 - 1e-12, rho * x)) + (1 - w) * kl(pb, x)
  for (let i = 0; i < 200; i++) {
    const [c, d] = [a + (b - a) / 3, b - (b - a) / 3]
    if (f(c) < f(d)) b = d
    else a = c
  }
  return f((a + b) / 2)
}

function increments(w: number, rho: number, { g, p0 }: Bet): [number, number, number, number] {
  const q = (w * rho) / (w * rho + 1 - w)
  const t = (w * g) / (w * g + 1 - w)
  const f = p0 === 0 ? w : (w * (1 - g * p0)) / (w * (1 - g * p0) + (1 - w) * (1 - p0))
  return [Math.log(t / q), Math.log((1 - t) / (1 - q)), Math.log(f / w), Math.log((1 - f) / (1 - w))]
}

function delays(
  grids: readonly (readonly Bet[])[],
  w: number,
  pc: number,
  pb: number,
  rho: number,
  alpha: number,
): number[] {
  const optimum = Math.log(1 / alpha) / information(w, pc, pb, rho)
  const block = Math.max(1, Math.round(optimum / 250))
  const tables = grids.map(grid => grid.map(bet => increments(w, rho, bet)))
  const sums = grids.map(() => 0)
  for (let run = 0; run < runs; run++) {
    let [n, ec, eb, qc, qb] = [0, 0, 0, 0, 0]
    const open = new Set(grids.keys())
    while (open.size > 0) {
      const c = binomial(block, w)
      const [x, y] = [binomial(c, pc), binomial(block - c, pb)]
      n += block
      ec += x
      eb += y
      qc += c - x
      qb += block - c - y
      for (const index of open) {
        let e = 0
        const table = tables[index]!
        const grid = grids[index]!
        for (let k = 0; k < table.length; k++) {
          const [a, b, cc, d] = table[k]!
          e += grid[k]!.weight * Math.exp(Math.min(600, ec * a + eb * b + qc * cc + qb * d))
        }
        if (e >= 1 / alpha || n > 60 * optimum) {
          sums[index]! += n - (block - 1) / 2
          open.delete(index)
        }
      }
    }
  }
  return sums.map(sum => sum / runs / optimum)
}
export const normalise = (bets: readonly (readonly [number, number, number])[]): Bet[] => {
  const total = bets.reduce((s, [, , x]) => s + x, 0)
  return bets.map(([g, p0, weight]) => ({ g, p0, weight: weight / total }))
}
export type { Bet }
export { delays, information }

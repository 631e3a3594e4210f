/** Past this, finding the place would take too long. */
const MOST = 4_000_000

/**
 * Says where a text stops being JSON (RFC 8259). V8 leaves the place out when a token is at fault; as every text that
 * begins with the faulty part is refused alike, the place is found by halving.
 */
export function jsonFault(text: string): string {
  const fault = refusal(text)
  if (fault === undefined) return 'it is not a JSON object'
  if (fault.includes(' at position ') || text.length > MOST) return fault
  if (fault === 'Unexpected end of JSON input') return `${fault} at position ${text.length}${lineOf(text, text.length)}`
  let [good, bad] = [0, text.length]
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    if (refusal(text.slice(0, middle))?.startsWith('Unexpected token')) bad = middle
    else good = middle
  }
  return `Unexpected token '${text[good]}' in JSON at position ${good}${lineOf(text, good)}`
}

function refusal(text: string): string | undefined {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    return (error as SyntaxError).message
  }
}

function lineOf(text: string, position: number): string {
  const before = text.slice(0, position).split('\n')
  return ` (line ${before.length} column ${(before.at(-1)?.length ?? 0) + 1})`
}

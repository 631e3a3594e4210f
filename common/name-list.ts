/** Words between commas, blanks and line ends, as lists of names are written in inputs. */
export function nameList(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean)
}

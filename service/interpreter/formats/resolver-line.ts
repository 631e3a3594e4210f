/** Whether a text is one line to the resolver too, which ends lines elsewhere than pip and joins others. */
export function isOneLine(text: string): boolean {
  return !/\\$|[^\P{Cc}\t]|[\p{Zl}\p{Zp}]/u.test(text)
}

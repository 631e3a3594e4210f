/** A text without the user names and passwords of the URLs in it, to be shown. */
export function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/?#\s]*@/g, '//')
}

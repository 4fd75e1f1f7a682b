// The generated part of a written document: what stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

/** `document` with a section's content exchanged. Throws when the document has no such section, or two. */
export function withSection(document: string, name: string, content: string): string {
  const begin = `<!-- ${name}: begin -->\n`;
  const end = `<!-- ${name}: end -->\n`;
  const [before, rest, ...others] = document.split(begin);
  const [, after, ...more] = rest?.split(end) ?? [];
  if (before === undefined || after === undefined || others.length + more.length > 0) {
    throw new Error(`while writing the section ${name}: the document must have it exactly once`);
  }
  return `${before}${begin}\n${content}\n${end}${after}`;
}

/** A Markdown table; a bar inside a cell is escaped. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}

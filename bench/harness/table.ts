/** Lines of a table with aligned columns: the first to the left, the others, which are figures, to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('   ');
  return [line(cells[0]!), widths.map((width) => '-'.repeat(width)).join('   '), ...cells.slice(1).map(line)].join('\n');
}

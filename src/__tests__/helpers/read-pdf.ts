import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

const ROOT = path.resolve(__dirname, '../../..');

/** In a process of its own: pdf-parse loads its worker by import(), which Jest's CommonJS cannot. */
const SCRIPT = `
  import { readFile } from 'node:fs/promises';
  import { PDFParse } from 'pdf-parse';
  const parser = new PDFParse({ data: await readFile(process.argv[1]) });
  const { pages } = await parser.getText();
  await parser.destroy();
  console.log(JSON.stringify(pages.map(({ text }) => text)));
`;

/** The text of each page of a PDF file. @throws {Error} when it is no PDF that can be read */
export async function readPdf(file: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', SCRIPT, file], { cwd: ROOT, maxBuffer: 2 ** 26 });
  return JSON.parse(stdout) as string[];
}

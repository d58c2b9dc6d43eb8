// Reads PowerShell with the grammar of tree-sitter.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { Language, Parser } from 'web-tree-sitter'

// Else the engine goes on optimizing the grammar for seconds, although it is used for a moment.
setFlagsFromString('--liftoff-only')

const require = createRequire(import.meta.url)

/** The syntax tree of a file. */
export async function parseFile (name) {
  await Parser.init()
  const parser = new Parser()
  parser.setLanguage(await Language.load(require.resolve('tree-sitter-powershell/tree-sitter-powershell.wasm')))
  return parser.parse(readFileSync(name, 'utf8')).rootNode
}

/** The named children of a node. */
export function children (node) {
  return node.namedChildren.filter(n => n && n.type !== 'comment' && n.type !== 'command_argument_sep')
}

/** All nodes below a node that have one of the types, in the order of the text. */
export function all (node, ...types) {
  return node.descendantsOfType(types).filter(Boolean)
}

/** The name that a variable node stands for, in lower case, without $ and braces. */
export function variableName (node) {
  return node.text.replace(/^[$@]\{?/, '').replace(/\}$/, '').toLowerCase()
}

/** The parameters of a function: name, aliases, default and the node. */
export function parameters (fn) {
  return all(fn, 'script_parameter').map(node => ({
    name: variableName(node.namedChildren.find(n => n.type === 'variable')),
    aliases: [...node.text.matchAll(/\[Alias\('([^']+)'\)\]/gi)].map(m => m[1].toLowerCase()),
    mandatory: /Mandatory\s*=\s*\$true/i.test(node.text),
    node
  }))
}

/** The functions of a script by their names in lower case. */
export function functions (root) {
  const found = new Map()
  for (const fn of all(root, 'function_statement')) {
    const name = all(fn, 'function_name')[0].text
    found.set(name.toLowerCase(), { name, node: fn, parameters: parameters(fn) })
  }
  return found
}

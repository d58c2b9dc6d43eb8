// Runs a PowerShell script by a reading of the language: no PowerShell, only the part of it that ca-certs.ps1 and
// its tests are written in, with the rules that scripts stumble over: output is collected and unrolled, a single
// value comes out of a function bare, reading an unset variable fails (strict mode), names ignore case, variables
// of the caller are seen. Whatever is not known here fails, so that the script stays in this part.
//
//   node model.mjs SCRIPT
import { children, all, functions, parseFile, variableName } from './grammar.mjs'
import { commands, member, method, staticMethod } from './library.mjs'

class Return extends Error { constructor (output) { super(); this.output = output } }

const scripts = new Map() // the functions by name
const scopes = [] // of variables, the innermost last
const globals = new Map([['lastexitcode', 0]])
let folder = '' // of the script that runs

const fail = text => { throw new Error(text) }

/** What an expression hands to a pipeline: the elements of an array, one by one. */
const unroll = value => Array.isArray(value) ? value : value === undefined ? [] : [value]
/** What a pipeline hands to an assignment or an argument. */
const collect = output => output.length === 0 ? null : output.length === 1 ? output[0] : output

function read (name) {
  if (name in { true: 1, false: 1, null: 1 }) return { true: true, false: false, null: null }[name]
  if (name.startsWith('env:')) return process.env[name.slice(4).toUpperCase()] ?? null
  if (name === 'psscriptroot') return folder
  for (let i = scopes.length - 1; i >= 0; i--) if (scopes[i].has(name)) return scopes[i].get(name)
  if (globals.has(name)) return globals.get(name)
  return fail(`the variable $${name} was not set`)
}

function write (name, value) {
  if (name.startsWith('env:')) {
    if (value === null || value === '') delete process.env[name.slice(4).toUpperCase()]
    else process.env[name.slice(4).toUpperCase()] = String(value)
  } else if (name.startsWith('global:')) globals.set(name.slice(7), value)
  else scopes.at(-1).set(name, value)
}

export const truth = value => Array.isArray(value)
  ? (value.length === 1 ? truth(value[0]) : value.length > 1)
  : !(value === null || value === undefined || value === false || value === '' || value === 0)

export const text = value => value === null || value === undefined ? '' : Array.isArray(value)
  ? value.map(text).join(' ')
  : value === true ? 'True' : value === false ? 'False' : String(value)

const same = (a, b) => typeof a === 'string' ? a.toLowerCase() === text(b).toLowerCase() : a === b
const pattern = (source, flags) => new RegExp(source.replace(/^\(\?s\)/, ''), 'i' + flags)

const binary = {
  '-eq': same,
  '-ne': (a, b) => !same(a, b),
  '-gt': (a, b) => a > b,
  '-contains': (a, b) => unroll(a).some(x => same(x, b)),
  '-notcontains': (a, b) => !unroll(a).some(x => same(x, b)),
  '-join': (a, b) => unroll(a).map(text).join(b),
  '-replace': (a, b) => text(a).replace(pattern(unroll(b)[0], 'g'), unroll(b)[1]),
  '-f': (a, b) => a.replace(/\{(\d+)\}/g, (_, n) => +n < unroll(b).length ? text(unroll(b)[n]) : fail(`-f has no argument ${n}`)),
  '-match': (a, b) => {
    const found = pattern(b, '').exec(text(a))
    if (found) write('matches', Object.assign(new Map(), { list: found }))
    return found !== null
  },
  '+': (a, b) => Array.isArray(a) ? [...a, ...unroll(b)] : typeof a === 'string' ? a + text(b) : a + b
}

/** Turns a value into what a type wants. */
function convert (type, value, name) {
  switch (type.toLowerCase()) {
    case 'string': return text(value)
    case 'string[]': return value === null ? null : unroll(value).map(text)
    case 'char[]': return unroll(value).map(text)
    case 'bool': return typeof value === 'boolean' || typeof value === 'number' ? Boolean(value) : fail(`cannot make a bool of ${text(value)} for ${name}`)
    case 'hashtable': return value instanceof Map ? value : fail(`cannot make a hashtable for ${name}`)
    case 'object': return value
  }
  return fail(`unknown type ${type}`)
}

/** The type of a parameter and the values of ValidateSet. */
function attributes (node) {
  const types = all(node, 'type_literal').map(n => n.text.slice(1, -1)).filter(t => /^[a-z]+(\[\])?$/i.test(t))
  const set = /ValidateSet\(([^)]*)\)/i.exec(node.text)
  return { type: types.at(0) ?? 'object', choices: set && set[1].split(',').map(s => s.trim().slice(1, -1).toLowerCase()) }
}

/** Calls a function of the script. */
function call (fn, positional, named) {
  const scope = new Map()
  const free = fn.parameters.filter(p => !named.has(p.name) && !p.aliases.some(a => named.has(a)))
  if (positional.length > free.length) fail(`${fn.name}: too many arguments`)
  free.forEach((p, i) => { if (i < positional.length) named.set(p.name, positional[i]) })
  scopes.push(scope)
  try {
    for (const p of fn.parameters) {
      const key = [p.name, ...p.aliases].find(n => named.has(n))
      const { type, choices } = attributes(p.node)
      if (key === undefined && p.mandatory) fail(`${fn.name}: ${p.name} is mandatory`)
      const initial = p.node.namedChildren.find(n => n.type === 'script_parameter_default')
      const given = key !== undefined ? named.get(key) : initial ? evaluate(children(initial)[0]) : type === 'bool' ? false : null
      const value = convert(type, given, p.name)
      if (p.mandatory && value === '') fail(`${fn.name}: ${p.name} is empty`)
      if (choices && !choices.includes(text(value).toLowerCase())) fail(`${fn.name}: ${p.name} is none of ${choices}`)
      scope.set(p.name, value)
      named.delete(key)
    }
    for (const name of named.keys()) fail(`${fn.name}: no parameter ${name}`)
    const body = all(fn.node, 'script_block_body')[0]
    return body ? block(children(body)[0], true) : []
  } finally {
    scopes.pop()
  }
}

/** Runs statements and returns their output. */
function block (list, isFunction = false) {
  const output = []
  try {
    for (const statement of list ? children(list) : []) output.push(...run(statement))
  } catch (e) {
    if (!(e instanceof Return)) throw e
    output.push(...e.output)
    if (!isFunction) throw new Return(output)
  }
  return output
}

const blockOf = node => block(children(node.namedChildren.findLast(n => n.type === 'statement_block') ?? node)[0])

function run (node) {
  const parts = children(node)
  switch (node.type) {
    case 'empty_statement': case 'function_statement': return []
    case 'pipeline': return pipeline(node)
    case 'if_statement': {
      if (truth(collect(pipeline(parts[0])))) return blockOf(parts[1])
      return parts[2] ? blockOf(parts[2]) : []
    }
    case 'foreach_statement': {
      const output = []
      for (const item of pipeline(parts[1])) {
        write(variableName(parts[0]), item)
        output.push(...blockOf(parts[2]))
      }
      return output
    }
    case 'try_statement':
      try {
        return blockOf(parts[0])
      } finally {
        blockOf(parts[1])
      }
    case 'flow_control_statement': {
      const output = parts[0] ? pipeline(parts[0]) : []
      if (node.text.toLowerCase().startsWith('throw')) fail(text(collect(output)))
      throw new Return(output)
    }
  }
  return fail(`line ${node.startPosition.row + 1}: unknown statement ${node.type}`)
}

/** Runs a pipeline and returns its output. */
function pipeline (node) {
  const chain = children(node)[0]
  if (chain.type === 'assignment_expression') return assign(chain)
  let output = null
  for (const part of children(chain)) {
    output = part.type === 'command' ? command(part, output) : unroll(evaluate(part))
  }
  return output
}

/** The value of a pipeline: that of an expression is not unrolled. */
function valueOf (node) {
  const chain = children(node)[0]
  const parts = chain.type === 'pipeline_chain' ? children(chain) : []
  return parts.length === 1 && parts[0].type !== 'command' ? evaluate(parts[0]) : collect(pipeline(node))
}

function assign (node) {
  const [left, operator, right] = children(node)
  const target = strip(left)
  let value = valueOf(right)
  if (operator.text === '+=') value = binary['+'](evaluate(target), value)
  if (target.type === 'variable') write(variableName(target), value)
  else if (target.type === 'element_access') evaluate(children(target)[0]).set(evaluate(children(target)[1]), value)
  else fail(`unknown target ${target.text}`)
  return []
}

/** The node below a chain of nodes with one child each. */
function strip (node) {
  while (/expression$/.test(node.type) && node.childCount === 1 && !/^(parenthesized|array)_expression$/.test(node.type)) node = node.children[0]
  return node
}

function evaluate (outer) {
  const node = strip(outer)
  const parts = children(node)
  switch (node.type) {
    case 'variable': return read(variableName(node))
    case 'string_literal': return string(parts[0])
    case 'integer_literal': case 'real_literal': return Number(node.text)
    case 'parenthesized_expression': return valueOf(parts[0])
    case 'array_expression': return parts[0] ? block(parts[0]) : []
    case 'array_literal_expression': return parts.map(evaluate)
    case 'hash_literal_expression': {
      const table = new Map()
      for (const entry of parts[0] ? children(parts[0]) : []) {
        table.set(evaluate(children(children(entry)[0])[0]), valueOf(children(entry)[1]))
      }
      return table
    }
    case 'element_access': {
      const [object, index] = [evaluate(parts[0]), evaluate(parts[1])]
      return (object instanceof Map ? object.list?.[index] ?? object.get(index) : object[index]) ?? null
    }
    case 'member_access': return member(evaluate(parts[0]), parts[1].text)
    case 'invokation_expression': {
      const list = children(node).at(-1)
      const args = list.type === 'argument_list' && children(list)[0] ? children(children(list)[0]).map(evaluate) : []
      return node.children[1].type === '::'
        ? staticMethod(parts[0].text.slice(1, -1), parts[1].text, args)
        : method(evaluate(parts[0]), parts[1].text, args)
    }
    case 'expression_with_unary_operator': {
      if (parts[0].type === 'cast_expression') return evaluate(parts[0])
      const value = evaluate(parts[0])
      return node.children[0].text === ',' ? [value] : node.children[0].text.toLowerCase() === '-not' ? !truth(value) : fail(node.text)
    }
    case 'cast_expression': return convert(parts[0].text.slice(1, -1), evaluate(parts[1]), 'a cast')
    case 'generic_token': return node.text
  }
  const operator = node.children.length === 3 ? node.children[1].text.toLowerCase() : ''
  if (operator === '-and') return truth(evaluate(node.children[0])) && truth(evaluate(node.children[2]))
  if (operator === '-or') return truth(evaluate(node.children[0])) || truth(evaluate(node.children[2]))
  if (binary[operator]) return binary[operator](evaluate(node.children[0]), evaluate(node.children[2]))
  if (/argument_expression$/.test(node.type) && parts.length === 1) return evaluate(parts[0])
  return fail(`line ${node.startPosition.row + 1}: unknown expression ${node.type} ${node.text}`)
}

function string (node) {
  if (node.type === 'verbatim_string_characters') return node.text.slice(1, -1).replaceAll("''", "'")
  return node.text.slice(1, -1).replace(/`(.)|\$(\w+)/g, (_, escaped, name) =>
    name ? text(read(name.toLowerCase())) : { n: '\n', r: '\r', t: '\t' }[escaped] ?? escaped)
}

/** Runs one command of a pipeline. */
function command (node, input) {
  const operator = node.namedChildren.find(n => n.type === 'command_invokation_operator')?.text ?? ''
  const nameNode = node.namedChildren.find(n => /^command_name/.test(n.type))
  const elements = node.namedChildren.find(n => n.type === 'command_elements')
  const positional = []
  const named = new Map()
  let parameter = null
  for (const element of elements ? children(elements) : []) {
    if (element.type === 'command_parameter') {
      parameter = element.text.slice(1).replace(/:$/, '').toLowerCase()
    } else if (parameter !== null) {
      named.set(parameter, evaluate(element))
      parameter = null
    } else positional.push(evaluate(element))
  }
  if (operator) return invoke(operator, all(nameNode, 'variable', 'string_literal')[0] ?? nameNode, positional)
  const name = nameNode.text.toLowerCase()
  const fn = scripts.get(name)
  if (fn) return call(fn, positional, named)
  if (!commands[name]) fail(`unknown command ${nameNode.text}`)
  return commands[name](positional, named, input)
}

/** Runs a program. */
function invoke (operator, nameNode, positional) {
  if (operator !== '&') fail(`unknown operator ${operator}`)
  const { code, lines } = commands.program(evaluate(nameNode), positional.flat())
  globals.set('lastexitcode', code)
  return lines
}

/** Runs a script; those that it takes in by ". 'NAME'" come first. */
async function main (name) {
  const root = await parseFile(name)
  if (root.hasError) fail(`${name}: syntax error`)
  functions(root).forEach((fn, key) => scripts.set(key, fn))
  scopes.push(new Map())
  for (const statement of children(children(root)[0])) {
    const included = /^\. '(.*)'$/.exec(statement.text)
    if (!included) {
      run(statement)
        .filter(value => value !== null && value !== undefined)
        .forEach(value => console.log(text(value)))
      continue
    }
    const path = included[1].replaceAll("''", "'")
    folder = path.replace(/[\\/][^\\/]*$/, '')
    const script = await parseFile(path)
    functions(script).forEach((fn, key) => scripts.set(key, fn))
    block(children(script)[0])
  }
}

try {
  await main(process.argv[2])
} catch (e) {
  console.error(e.message)
  if (process.env.MODEL_TRACE) console.error(e.stack)
  process.exitCode = 1
}

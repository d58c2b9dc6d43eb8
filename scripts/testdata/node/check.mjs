// Says what is wrong with a PowerShell script, as far as its text tells: one line "LINE: what" for each finding.
//
//   node check.mjs SCRIPT
//
// Syntax; commands that neither the script defines nor are listed here; parameters that they do not have; too
// many arguments; variables that are read and never set, which strict mode refuses; functions that are defined
// twice; functions that nobody calls and that are not for users.
import { all, children, functions, parseFile, variableName } from './grammar.mjs'

// The cmdlets that the script may call, with the parameters that both Windows PowerShell 5.1 and PowerShell 7
// have, and the number of arguments without a name.
const cmdlets = {
  'get-command': [['name', 'commandtype', 'erroraction'], 1],
  'get-location': [['psprovider'], 0],
  'new-object': [['typename', 'argumentlist'], 2],
  'out-null': [[], 0],
  'remove-item': [['literalpath', 'erroraction'], 0],
  'resolve-path': [['literalpath'], 0],
  'select-object': [['skip', 'first'], 0],
  'set-item': [['literalpath', 'value'], 0],
  'sort-object': [[], 1],
  'test-path': [['literalpath', 'pathtype'], 1],
  'write-host': [[], 1],
  'write-warning': [[], 1]
}
const automatic = new Set(['true', 'false', 'null', 'psscriptroot', 'lastexitcode', 'matches', '_'])
const findings = []
const report = (node, text) => findings.push([node.startPosition.row + 1, text])

function checkSyntax (node) {
  if (node.isError || node.isMissing) {
    report(node, `syntax error at ${JSON.stringify(node.text.slice(0, 40) || node.type)}`)
    return
  }
  if (node.hasError) node.children.forEach(checkSyntax)
}

function checkCommand (node, defined) {
  const nameNode = node.namedChildren.find(n => n.type === 'command_name')
  if (!nameNode || /^\d+\.\.\d+$/.test(nameNode.text)) return // & $program, and a range, which the grammar takes for a command
  const name = nameNode.text.toLowerCase()
  const fn = defined.get(name)
  if (!fn && !cmdlets[name]) {
    report(node, `unknown command ${nameNode.text}`)
    return
  }
  const names = fn ? fn.parameters.flatMap(p => [p.name, ...p.aliases]) : cmdlets[name][0]
  const limit = fn ? fn.parameters.length : cmdlets[name][1]
  const elements = node.namedChildren.find(n => n.type === 'command_elements')
  let free = 0
  let named = false
  for (const element of elements ? children(elements) : []) {
    if (element.type === 'command_parameter') {
      const given = element.text.replace(/^-/, '').replace(/:$/, '').toLowerCase()
      if (!names.includes(given)) report(element, `${nameNode.text} has no parameter ${element.text}`)
      named = true
      continue
    }
    if (!named) free++
    named = false
  }
  if (free > limit) report(node, `${nameNode.text} takes ${limit} arguments, not ${free}`)
}

/** The variables that a block sets, by name, with the place where it does so first. */
function assigned (fn) {
  const set = new Map(fn.parameters.map(p => [p.name, 0]))
  const note = node => {
    const name = variableName(node)
    if (!set.has(name)) set.set(name, node.endIndex)
  }
  for (const target of all(fn.node, 'left_assignment_expression')) {
    const variable = all(target, 'variable')[0]
    if (variable && variable.text === target.text) note(variable)
  }
  for (const loop of all(fn.node, 'foreach_statement')) {
    note(loop.namedChildren.find(n => n.type === 'variable'))
  }
  return set
}

function checkVariables (fn) {
  const set = assigned(fn)
  const declarations = new Set(fn.parameters.map(p => p.node.id))
  for (const node of all(fn.node, 'variable', 'braced_variable')) {
    const name = variableName(node)
    if (declarations.has(node.parent.id) || automatic.has(name) || name.startsWith('env:') || name.startsWith('global:')) continue
    if (!set.has(name) || set.get(name) > node.endIndex) report(node, `variable ${node.text} is read and not set before`)
  }
}

const root = await parseFile(process.argv[2])
const text = root.text
checkSyntax(root)
const defined = functions(root)
const seen = new Set()
for (const node of all(root, 'function_name')) {
  if (seen.has(node.text.toLowerCase())) report(node, `function ${node.text} is defined twice`)
  seen.add(node.text.toLowerCase())
}
const called = new Set()
for (const node of all(root, 'command')) {
  checkCommand(node, defined)
  called.add(node.namedChildren[0].text.toLowerCase())
}
for (const [name, fn] of defined) {
  checkVariables(fn)
  const documented = text.slice(0, fn.node.startIndex).trimEnd().endsWith('#>')
  if (!called.has(name) && !documented) report(fn.node, `function ${fn.name} is neither called nor documented`)
}
findings.sort((a, b) => a[0] - b[0])
for (const [line, text] of findings) console.log(`${line}: ${text}`)

// The cmdlets and the parts of .NET that ca-certs.ps1 and its tests use, for model.mjs.
import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

const fail = text => { throw new Error(text) }
const want = (values, n) => values.length === n ? values : fail(`want ${n} arguments, got ${values.length}`)

/** Where a program is; null if nowhere. */
function find (name) {
  const names = process.platform === 'win32' ? [name, name + '.exe'] : [name]
  const places = /[\\/]/.test(name) ? [''] : (process.env.PATH ?? '').split(path.delimiter)
  for (const place of places) {
    for (const n of names) {
      const file = path.join(place, n)
      try {
        fs.accessSync(file, fs.constants.X_OK)
        if (fs.statSync(file).isFile()) return file
      } catch {}
    }
  }
  return null
}

const variable = name => name.replace(/^env:/i, '').toUpperCase()
const quiet = named => String(named.get('erroraction')).toLowerCase() === 'silentlycontinue'

export const commands = {
  // What & starts: standard output comes back in lines, errors go where ours go.
  program (name, args) {
    const file = find(name)
    if (!file) { // an error that does not end the script by itself
      console.error(`the program ${name} cannot be started`)
      return { code: 126, lines: [] }
    }
    const done = spawnSync(file, args, { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' })
    if (process.env.MODEL_ARGUMENTS) fs.appendFileSync(process.env.MODEL_ARGUMENTS, JSON.stringify(args) + '\n')
    return { code: done.status ?? 126, lines: done.stdout.split(/\r?\n/).slice(0, -1) }
  },
  'get-command': (args, named) => {
    const name = named.get('name') ?? want(args, 1)[0]
    const file = find(name)
    return file ? [file] : quiet(named) ? [] : fail(`no command ${name}`)
  },
  'get-location': () => [{ providerpath: process.cwd(), toString: () => process.cwd() }],
  'join-path': args => [path.join(...want(args, 2).map(String))],
  'new-object': (args, named) => {
    const type = named.get('typename') ?? args[0]
    if (!/\.X509Certificate2$/.test(type)) fail(`unknown class ${type}`)
    const certificate = new X509Certificate(fs.readFileSync(named.get('argumentlist')))
    const rsa = certificate.publicKey.asymmetricKeyType === 'rsa'
    return [{ publickey: { oid: { value: rsa ? '1.2.840.113549.1.1.1' : '1.2.840.10045.2.1' } }, subject: certificate.subject.split('\n').reverse().join(', '), thumbprint: certificate.fingerprint.replaceAll(':', '') }]
  },
  'out-null': () => [],
  'remove-item': (_, named) => {
    delete process.env[variable(named.get('literalpath'))]
    return []
  },
  'resolve-path': (_, named) => {
    const file = path.resolve(named.get('literalpath'))
    if (!fs.existsSync(file)) fail(`there is no ${file}`)
    return [{ providerpath: file }]
  },
  'select-object': (_, named, input) => input.slice(named.get('skip') ?? 0),
  'set-item': (_, named) => {
    process.env[variable(named.get('literalpath'))] = named.get('value')
    return []
  },
  'set-strictmode': () => [],
  'sort-object': (_, named, input) => [...input].sort((a, b) => a.localeCompare(b)),
  'test-path': (args, named) => {
    const name = named.get('literalpath') ?? want(args, 1)[0]
    return [/^env:/i.test(name) ? variable(name) in process.env : fs.existsSync(name) && fs.statSync(name).isFile()]
  },
  'write-host': args => { console.log(...args); return [] },
  'write-output': args => args.flat(),
  'write-warning': args => { console.log(`WARNING: ${want(args, 1)[0]}`); return [] }
}

export function member (object, name) {
  if (object === null) fail(`${name} of nothing`)
  const key = name.toLowerCase()
  if (key === 'length' && (typeof object === 'string' || Array.isArray(object))) return object.length
  if (key === 'keys' && object instanceof Map) return [...object.keys()]
  return key in Object(object) ? object[key] : fail(`no property ${name}`)
}

const trimEnd = (s, chars) => {
  while (s !== '' && chars.includes(s.at(-1))) s = s.slice(0, -1)
  return s
}

/** The methods of strings. */
export function method (object, name, args) {
  if (typeof object !== 'string') fail(`method ${name} of ${object}`)
  switch (name) {
    case 'Contains': return object.includes(want(args, 1)[0])
    case 'EndsWith': return object.endsWith(want(args, 1)[0])
    case 'Trim': return object.trim()
    case 'TrimEnd': return trimEnd(object, want(args, 1)[0])
    case 'ToLowerInvariant': return object.toLowerCase()
    case 'Split': {
      const [separators, count] = want(args, 2)
      const at = object.search(new RegExp(`[${separators.join('')}]`))
      return count === 2 && at >= 0 ? [object.slice(0, at), object.slice(at + 1)] : fail('Split')
    }
  }
  return fail(`unknown method ${name}`)
}

const text = value => value === null ? '' : String(value)

const statics = {
  'Environment.GetEnvironmentVariable': name => process.env[name.toUpperCase()] ?? null,
  'string.IsNullOrEmpty': value => text(value) === '',
  'string.IsNullOrWhiteSpace': value => text(value).trim() === '',
  'IO.Path.Combine': (...parts) => parts.reduce((a, b) => path.isAbsolute(b) ? b : path.join(a, b)),
  'IO.Path.GetDirectoryName': name => path.dirname(name),
  'IO.Directory.CreateDirectory': name => { fs.mkdirSync(name, { recursive: true }); return name },
  'IO.Directory.Exists': name => fs.existsSync(name) && fs.statSync(name).isDirectory(),
  'IO.Directory.GetFiles': (name, mask) => fs.readdirSync(name).filter(f => f.endsWith(mask.slice(1))).map(f => path.join(name, f)),
  'IO.File.Exists': name => fs.existsSync(name) && fs.statSync(name).isFile(),
  'IO.File.ReadAllLines': name => fs.readFileSync(name, 'utf8').split(/\r?\n/),
  'IO.File.ReadAllText': name => fs.readFileSync(name, 'utf8'),
  'IO.File.WriteAllText': (name, content) => { fs.writeFileSync(name, content) },
  // The mode goes along on Unix.
  'IO.File.Copy': (from, to, overwrite) => {
    fs.copyFileSync(from, to, overwrite ? 0 : fs.constants.COPYFILE_EXCL)
    fs.chmodSync(to, fs.statSync(from).mode)
  }
}

export function staticMethod (type, name, args) {
  const fn = statics[`${type}.${name}`]
  if (!fn) fail(`unknown method [${type}]::${name}`)
  return fn(...args)
}

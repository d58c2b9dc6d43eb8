package cliapp

import (
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// The scripts ask the program itself for the words: see complete. They need
// nothing but the shell.
const (
	bashCompletion = `_@PROG@_complete() {
  local cur words line
  cur="${COMP_WORDS[COMP_CWORD]}"
  words=("${COMP_WORDS[@]:0:COMP_CWORD}")
  [[ "$cur" == -* ]] && words+=("$cur")
  COMPREPLY=()
  while IFS= read -r line; do
    [[ "$line" == "$cur"* ]] && COMPREPLY+=("$line")
  done < <("${words[@]}" --generate-bash-completion 2>/dev/null)
}
complete -o bashdefault -o default -F _@PROG@_complete @PROG@
`
	zshCompletion = `#compdef @PROG@
_@PROG@() {
  local -a words_so_far opts
  words_so_far=("${(@)words[1,CURRENT-1]}")
  [[ "${words[CURRENT]}" == -* ]] && words_so_far+=("${words[CURRENT]}")
  opts=("${(@f)$("${words_so_far[@]}" --generate-bash-completion 2>/dev/null)}")
  if [[ -n "${opts[1]}" ]]; then compadd -- "${opts[@]}"; else _files; fi
}
compdef _@PROG@ @PROG@
`
	fishCompletion = `function __@PROG@_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  string match -q -- '-*' "$current"; and set -a words $current
  command $words --generate-bash-completion 2>/dev/null
end
complete -c @PROG@ -a '(__@PROG@_complete)'
`
	pwshCompletion = `Register-ArgumentCompleter -Native -CommandName @PROG@ -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | ForEach-Object { $_.ToString() })
  $rest = @($words | Select-Object -Skip 1)
  if ($wordToComplete -and -not $wordToComplete.StartsWith('-') -and $rest.Count -gt 0) {
    $rest = @($rest | Select-Object -First ($rest.Count - 1))
  }
  & $words[0] @rest --generate-bash-completion 2>$null |
    Where-Object { $_ -like "$wordToComplete*" } |
    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}
`
)

func completionCommand(env *Env, program string) *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a completion script for a shell", ArgsUsage: "bash|zsh|fish|pwsh",
		Description: "bash:  source <(" + program + " completion bash)\n" +
			"zsh:   source <(" + program + " completion zsh)\n" +
			"fish:  " + program + " completion fish | source\n" +
			"pwsh:  " + program + " completion pwsh | Out-String | Invoke-Expression",
		Before: ExactArgs("SHELL"),
		BashComplete: func(*cli.Context) {
			_, _ = io.WriteString(env.Out, "bash\nzsh\nfish\npwsh\n")
		},
		Action: func(c *cli.Context) error {
			script, err := completionScript(c, program)
			if err != nil {
				return err
			}
			_, err = io.WriteString(env.Out, script)
			return err
		},
	}
}

func completionScript(c *cli.Context, program string) (string, error) {
	scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion, "pwsh": pwshCompletion, "powershell": pwshCompletion}
	shell := c.Args().First()
	script, ok := scripts[shell]
	if !ok {
		return "", Usagef("unknown shell %q: want bash, zsh, fish or pwsh", shell)
	}
	return strings.ReplaceAll(script, "@PROG@", program), nil
}

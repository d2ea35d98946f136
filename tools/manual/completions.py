# SPDX-License-Identifier: MIT
"""Completion for bash, zsh and fish, from what the programs say of themselves (see programs.py).

A value or a positional called FILE is a file, one called DIR a directory, and what is a|b|c one of those words. The
commands of a program have no commands of their own."""
import shlex

from programs import words_of

FILES, DIRECTORIES = {"FILE"}, {"DIR"}


def names_of(command):
    return [command["name"], *command["aliases"]]


def function_of(command):
    return "_" + command["name"].replace("-", "_")


def offers_files(command):
    return any(positional["name"] in FILES for positional in command["positionals"])


def offers_directories(command):
    return any(positional["name"] in DIRECTORIES for positional in command["positionals"])


def offered_words(command):
    words = [name for sub in command["commands"] for name in names_of(sub)]
    words += [word for positional in command["positionals"] for word in words_of(positional)]
    return words + [name for option in command["options"] for name in option["names"]]


# ---- bash ------------------------------------------------------------------------------------------------------------


def bash_path(command, parent=None):
    return "" if parent is None else "/" + command["name"]


def bash_words(path, command):
    kind = "-f" if offers_files(command) else "-d" if offers_directories(command) else ""
    return f"    {path}/) words={shlex.quote(' '.join(offered_words(command)))} kind={kind} ;;"


def bash_values(path, command):
    lines = []
    for option in command["options"]:
        if option["value"]:
            kind = "-f" if option["value"] in FILES else "-d" if option["value"] in DIRECTORIES else ""
            lines += [f"    {path}/{name}) words= kind={kind} ;;" for name in option["names"]]
    return lines


def bash(command):
    function = function_of(command)
    steps = [f"      /{name}) path=/{sub['name']} ;;" for sub in command["commands"] for name in names_of(sub)]
    commands = [("", command)] + [("/" + sub["name"], sub) for sub in command["commands"]]
    values = [line for path, sub in commands for line in bash_values(path, sub)]
    # Options of the program itself may stand behind its commands where these have none of their own.
    values += [line.replace("    /", f"    {path}/", 1) for path, sub in commands[1:] if len(sub["options"]) == 1
               for line in bash_values("", command)]
    steps = steps or ["      *) ;;"]
    return f"""# bash completion of {command['name']}, made from what it says of its command line.
{function}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} path= words kind i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case $path/${{COMP_WORDS[i]}} in
{chr(10).join(steps)}
    esac
  done
  # --option=value comes as three words.
  [ "$current" != = ] || current=
  [ "$previous" != = ] || previous=${{COMP_WORDS[COMP_CWORD - 2]}}
  case $path/ in
{chr(10).join(bash_words(path, sub) for path, sub in commands)}
  esac
  case $path/$previous in
{chr(10).join(values) or '    *) ;;'}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"; [ -z "$kind" ] || compgen "$kind" -- "$current")
  [ -z "$kind" ] || compopt -o filenames 2>/dev/null
}}
complete -F {function} {command['name']}
"""


# ---- zsh -------------------------------------------------------------------------------------------------------------


def zsh_text(text):
    return text.replace("[", "(").replace("]", ")").replace(":", ";").replace("'", "’")


def zsh_action(name):
    if name in FILES:
        return "_files"
    return "_files -/" if name in DIRECTORIES else " "


def zsh_positional(positional):
    words = words_of(positional)
    name = words[0] if words else positional["name"]
    action = f"({' '.join(words)})" if words else zsh_action(name)
    return f"'{'*' if positional['repeated'] else ''}:{name}:{action}'"


def zsh_arguments(command):
    specs = []
    for option in command["options"]:
        value = f":{option['value']}:{zsh_action(option['value'])}" if option["value"] else ""
        again = "*" if option["repeated"] else ""
        specs += [f"'{again}{name}[{zsh_text(option['text'])}]{value}'" for name in option["names"]]
    specs += [zsh_positional(positional) for positional in command["positionals"]]
    return " \\\n    ".join(specs)


def zsh(command):
    function = function_of(command)
    if not command["commands"]:
        return f"""#compdef {command['name']}
{function}() {{
  _arguments \\
    {zsh_arguments(command)}
}}
{function} "$@"
"""
    described = "\n".join(f"    '{name}:{zsh_text(sub['text'])}'"
                          for sub in command["commands"] for name in names_of(sub))
    cases = "\n".join(f"    {'|'.join(names_of(sub))})\n      _arguments \\\n    {zsh_arguments(sub)} ;;"
                      for sub in command["commands"])
    options = zsh_arguments({**command, "positionals": []})
    files = "; _files" if offers_files(command) else ""
    other = "_files" if offers_files(command) else ":"
    return f"""#compdef {command['name']}
{function}() {{
  local context state state_descr line
  typeset -A opt_args
  local -a commands=(
{described}
  )
  _arguments -C \\
    {options} \\
    '1:command:->command' '*::argument:->argument'
  case $state in
  command) _describe command commands{files} ;;
  argument)
    case $line[1] in
{cases}
    *) {other} ;;
    esac ;;
  esac
}}
{function} "$@"
"""


# ---- fish ------------------------------------------------------------------------------------------------------------


def fish_options(name, condition, command):
    lines = []
    for option in command["options"]:
        line = f"complete -c {name} -n {shlex.quote(condition)}"
        for flag in option["names"]:
            line += f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}"
        if option["value"] in FILES:
            line += " -r -F"
        elif option["value"] in DIRECTORIES:
            line += " -x -a '(__fish_complete_directories)'"
        elif option["value"]:
            line += " -x"
        lines.append(line + (f" -d {shlex.quote(option['text'])}" if option["text"] else ""))
    for positional in command["positionals"]:
        line = f"complete -c {name} -n {shlex.quote(condition)}"
        if positional["name"] in FILES:
            lines.append(f"{line} -F")
        elif positional["name"] in DIRECTORIES:
            lines.append(f"{line} -a '(__fish_complete_directories)'")
        elif words_of(positional):
            lines.append(f"{line} -a {shlex.quote(' '.join(words_of(positional)))}")
    return lines


def fish(command):
    name = command["name"]
    lines = [f"# fish completion of {name}, made from what it says of its command line.", f"complete -c {name} -f"]
    lines += fish_options(name, "__fish_use_subcommand" if command["commands"] else "true", command)
    for sub in command["commands"]:
        for word in names_of(sub):
            lines.append(f"complete -c {name} -n __fish_use_subcommand -a {word} -d {shlex.quote(sub['text'])}")
        lines += fish_options(name, "__fish_seen_subcommand_from " + " ".join(names_of(sub)), sub)
    return "\n".join(lines) + "\n"

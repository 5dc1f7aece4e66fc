# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Completes stallrace's commands, groups and programs, and the options that --help names.
_stallrace() {
	local command=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} words='' asked
	local options='s/^ \{2,6\}\(-., \)\{0,1\}\(--[a-z][a-z-]*\).*/\2/p'

	if [ "$COMP_CWORD" -eq 1 ]; then
		words=$("$command" --help 2>/dev/null | sed -n "s/^  \([a-z]*\) .*/\1/p; $options")
	elif [ "$COMP_CWORD" -eq 2 ] && [ "${COMP_WORDS[1]}" = run ]; then
		words=$("$command" list --names 2>/dev/null)
	elif [[ $word == -* ]]; then
		asked=("${COMP_WORDS[1]}")
		[ "${COMP_WORDS[1]}" != run ] || asked+=("${COMP_WORDS[2]}")
		words=$("$command" "${asked[@]}" --help 2>/dev/null | sed -n "$options")
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _stallrace stallrace

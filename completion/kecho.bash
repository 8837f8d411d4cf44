# SPDX-License-Identifier: GPL-2.0
# bash completion for kecho(1). Names come from the files of the mount, so it needs no node's help.

# The channels of the tree, or the types of a channel.
_kecho_directories()
{
	local path

	for path in "${KECHO_DIR:-/kecho}${1:+/$1}"/*/; do
		[[ -d $path ]] || continue
		path=${path%/}
		printf '%s\n' "${path##*/}"
	done
}

# The names before the first = of a channel's attributes.
_kecho_attributes()
{
	local name

	[[ -r ${KECHO_DIR:-/kecho}/$1/attrs ]] || return
	while IFS='=' read -r name _; do
		printf '%s=\n' "$name"
	done < "${KECHO_DIR:-/kecho}/$1/attrs"
}

# The indexes of a channel's filters.
_kecho_filters()
{
	local line

	[[ -r ${KECHO_DIR:-/kecho}/$1/filter ]] || return
	while IFS=$'\t' read -r line _; do
		printf '%s\n' "${line#index=}"
	done < "${KECHO_DIR:-/kecho}/$1/filter"
}

_kecho()
{
	local cur prev words cword
	_init_completion -n = || return

	local commands='up down ls join leave pub sub members attrs filter res serve req resmon agent-check stat top help version'
	local command=${words[1]} options='' arguments='' channel='' i nargs=0

	if ((cword == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
		return
	fi

	# The arguments before the cursor: how many, and the first, which is the channel.
	for ((i = 2; i < cword; i++)); do
		case ${words[i]} in
			-[WnftapoHw] | --count | --jobs | --queue | --wait | --timeout | --type | --file | --attr | --prio | \
			--wait-members | --deadline | --options | --home | --format) ((i++)) ;;
			-[jq]) [[ $command != serve ]] || ((i++)) ;;
			-*) ;;
			*) ((nargs++)) || channel=${words[i]} ;;
		esac
	done

	case $command:$prev in
		agent-check:-c | agent-check:--channel)
			mapfile -t COMPREPLY < <(compgen -W "$(_kecho_directories)" -- "$cur")
			return
			;;
		agent-check:-[laf] | agent-check:--listen | agent-check:--attr | agent-check:--full)
			return
			;;
		pub:-f | pub:--file)
			_filedir
			return
			;;
		pub:-t | pub:--type | sub:-t | sub:--type)
			# The channel often follows: then the types of all.
			for i in $(_kecho_directories); do
				arguments+=" $(_kecho_directories "$i")"
			done
			mapfile -t COMPREPLY < <(compgen -W "$arguments" -- "$cur")
			return
			;;
		up:-o | up:--options)
			mapfile -t COMPREPLY < <(compgen -W 'name= listen= group= peer= registry insecure
				uid= gid= mode= queue= max_event= heartbeat= lease=' -- "$cur")
			compopt -o nospace
			return
			;;
		up:-H | up:--home)
			mapfile -t COMPREPLY < <(compgen -W 'auto kernel fuse' -- "$cur")
			return
			;;
		resmon:-c | resmon:--channel | top:-c | top:--channel)
			mapfile -t COMPREPLY < <(compgen -W "$(_kecho_directories)" -- "$cur")
			return
			;;
		top:-s | top:--sort)
			mapfile -t COMPREPLY < <(compgen -W 'load cpu mem disk net_rx net_tx age_ms node' -- "$cur")
			return
			;;
		resmon:-i | resmon:--interval | top:-[dn] | top:--delay | top:--count | \
		sub:-[Wna] | sub:--attr | sub:--count | sub:--timeout | sub:--format | pub:-[ap] | pub:--attr | \
		pub:--prio | pub:--deadline | pub:--wait-members | pub:--timeout | \
		serve:-[jq] | serve:--jobs | serve:--queue | req:-[nwW] | req:--wait | req:--timeout)
			return
			;;
	esac

	case $command in
		up)
			options='--options --home --foreground --dry-run --help'
			;;
		pub)
			options='--lines --file --attr --type --prio --deadline --wait-members --timeout --help'
			((nargs == 0)) && arguments=$(_kecho_directories)
			;;
		sub)
			options='--attr --boost --count --timeout --type --json --format --help'
			arguments=$(_kecho_directories)
			;;
		join | leave)
			options='--help'
			arguments=$(_kecho_directories)
			if [[ $cur == */* ]]; then
				for i in $(_kecho_directories "${cur%%/*}"); do
					arguments+=" ${cur%%/*}/$i"
				done
			fi
			;;
		members)
			options='--json --sinks --help'
			((nargs == 0)) && arguments=$(_kecho_directories)
			;;
		attrs)
			options='--json --help'
			if ((nargs == 0)); then
				arguments=$(_kecho_directories)
			else
				arguments=$(_kecho_attributes "$channel")
				compopt -o nospace
			fi
			;;
		filter)
			options='--json --help'
			case $nargs:$prev in
				0:*) arguments=$(_kecho_directories) ;;
				1:*) arguments='ls add del set' ;;
				2:add) arguments='in out' ;;
				2:del | 2:set) arguments=$(_kecho_filters "$channel") ;;
			esac
			;;
		serve)
			options='--jobs --queue --help'
			((nargs == 0)) && arguments=$(_kecho_directories)
			;;
		req)
			options='--wait --timeout --once --cancel --verbose --help'
			((nargs == 0)) && arguments=$(_kecho_directories)
			;;
		res)
			case $nargs:$channel in
				0:*) arguments='offer request release ls' ;;
				*:offer) options='--channel --attr --ttl --new --help' arguments='cpu memory disk' ;;
				*:request) options='--channel --best --ttl --wait --help' ;;
				*:release) options='--channel --wait --help' ;;
				*:ls) options='--channel --wait --leases --json --help' ;;
			esac
			;;
		ls)
			options='--json --help'
			;;
		resmon)
			options='--channel --interval --help'
			;;
		agent-check)
			options='--listen --channel --attr --full --help'
			;;
		stat)
			options='--json --peers --help'
			;;
		top)
			options='--batch --channel --count --delay --json --sort --help'
			;;
		help)
			arguments=$commands
			;;
	esac

	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
	elif [[ $command == up || $command == down ]]; then
		_filedir -d
	else
		mapfile -t COMPREPLY < <(compgen -W "$arguments" -- "$cur")
	fi
} && complete -F _kecho kecho

# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Real web servers: nginx on 127.0.0.1:8080 or ADDRESS:8080 of a host.

need() { local p; for p; do command -v "$p" >/dev/null || skip "$p is not installed"; done; }
listens() { [[ $(on "$1" ss -Hltn "sport = :$2") ]]; }	# HOST PORT

# nginx_up HOST ADDRESS [LINE IN http] [LINE IN server]...: its pid in NGINX[HOST]; what it has been asked in $K/asked.HOST
declare -gA NGINX=()
nginx_up()
{
	local dir=$K/nginx.$1
	mkdir -p "$dir"
	cat >"$dir/nginx.conf" <<-END
		daemon off;
		master_process off;
		pid $dir/pid;
		error_log $dir/err;
		events {}
		http {
			log_format asked '\$request \$status';
			client_body_temp_path $dir;
			access_log $K/asked.$1 asked;
			${3-}
			server {
				listen $2:8080;
				root $dir;
				$(printf '%s\n' "${@:4}")
			}
		}
	END
	echo "h$1" >"$dir/name"
	on_background "$1" nginx -p "$dir" -c "$dir/nginx.conf" 2>"$dir/start"
	NGINX[$1]=$LAST_PID
	wait_until "listens $1 8080 || gone $LAST_PID"
	! gone "$LAST_PID" || fail "nginx: $(<"$dir/start")"
}

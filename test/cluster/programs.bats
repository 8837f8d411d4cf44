# SPDX-License-Identifier: GPL-2.0
# Programs that know nothing of KECho write into a channel, and another host reads.
load cluster

need() { local p; for p; do command -v "$p" >/dev/null || skip "$p is not installed"; done; }

# Host 1 writes channel CH, host 2 reads it, nothing may be lost.
channel_up()
{
	cluster_up 2
	join "$1" 1 2
	setting "$1" kecho.overflow=block 1 2
	listen "$1" 1 2
}

@test "nginx writes its access log into a channel" {
	need nginx ab
	channel_up web
	cat >"$K/nginx.conf" <<-END
		user root;
		worker_processes 1;
		daemon off;
		pid $K/nginx.pid;
		error_log $K/nginx.err;
		events {}
		http {
			log_format line '\$request_id \$status';
			access_log $K/h1/web/events line;
			server { listen 127.0.0.1:8080; return 200 ok; }
		}
	END
	on_background 1 nginx -p "$K" -c "$K/nginx.conf"
	local nginx=$LAST_PID
	wait_until '[[ $(on 1 ss -Hltn "sport = :8080") ]] || gone $nginx'
	on 1 timeout $((60 * KECHO_SLOW)) ab -q -n 5000 -c 8 http://127.0.0.1:8080/ >"$K/ab"
	grep -E '^Complete requests: +5000$' "$K/ab"
	grep -E '^Failed requests: +0$' "$K/ab"
	kill -QUIT "$nginx"
	wait_exit "$nginx"
	echo end >"$K/h1/web/events"
	heard 2 5001
	(($(sort -u "$K/out.2" | grep -cxE '[0-9a-f]{32} 200') == 5000))
}

@test "rsyslog's omfile writes into a channel" {
	need rsyslogd logger
	channel_up log
	cat >"$K/rsyslog.conf" <<-END
		module(load="imuxsock" SysSock.Use="off")
		input(type="imuxsock" Socket="$K/log.sock" RateLimit.Interval="0")
		template(name="line" type="string" string="%msg:2:$%\n")
		action(type="omfile" file="$K/h1/log/events" template="line")
	END
	on_background 1 rsyslogd -n -f "$K/rsyslog.conf" -i "$K/rsyslog.pid" 2>"$K/rsyslog.err"
	local rsyslog=$LAST_PID
	wait_until '[[ -S $K/log.sock ]] || gone $rsyslog'
	seq -f 'message %g' 3000 | timeout $((60 * KECHO_SLOW)) logger -u "$K/log.sock" -t kecho
	heard 2 3000
	kill -TERM "$rsyslog"
	wait_exit "$rsyslog"
	echo end >"$K/h1/log/events"
	heard 2 3001
	cmp <(seq -f 'message %g' 3000; echo end) "$K/out.2"
}

#!/bin/sh
# Miniflare starts this in workerd's place: a session of its own, so that Ctrl-C in the terminal reaches the supervisor
# only, and an end when the supervisor dies without a word. What it prints goes straight to its log, where one is named: on its way
# through Miniflare each request's line cost the supervisor a tenth of what it costs workerd to answer the request.
[ -n "$GLOVEBOX_WORKERD_LOG" ] && exec >>"$GLOVEBOX_WORKERD_LOG"
exec setsid setpriv --pdeathsig KILL -- "$GLOVEBOX_WORKERD" "$@"

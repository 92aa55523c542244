#!/bin/sh
# Miniflare starts this in workerd's place: a session of its own, so that Ctrl-C in the terminal reaches the supervisor
# only, and an end when the supervisor dies without a word.
exec setsid setpriv --pdeathsig KILL -- "$GLOVEBOX_WORKERD" "$@"

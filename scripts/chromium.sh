#!/bin/sh
# Makes sure that the page tests find Debian's Chromium. Installs it if no password is needed, otherwise prints the
# command.
set -eu

[ -x /usr/bin/chromium ] && exit 0
if [ "$(id -u)" -eq 0 ] && [ -e /etc/debian_version ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
    exit 0
fi
echo "The page tests need Chromium as /usr/bin/chromium: sudo apt-get install -y chromium" >&2
exit 1

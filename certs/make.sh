#!/bin/sh
# Makes a development CA and a P-256 leaf for localhost in a folder (default: this one). Never for anything but development:
# the CA's key lies beside it. Does nothing while the leaf there is good for another week.
set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd)
folder=${1:-$here}
names='DNS:localhost,IP:127.0.0.1,IP:::1'

mkdir -p "$folder"
if [ -f "$folder/dev.key" ] && openssl x509 -in "$folder/dev.pem" -noout -checkend 604800 >/dev/null 2>&1; then
  exit 0
fi

work=$(mktemp -d "$folder/.make.XXXXXX")
trap 'rm -rf "$work"' EXIT
umask 077

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -sha256 -subj '/CN=Lychgate development CA' \
  -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
  -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null

openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -subj '/CN=localhost' \
  -keyout "$work/dev.key" -out "$work/dev.csr" 2>/dev/null

cat >"$work/leaf.cnf" <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = $names
END
openssl x509 -req -in "$work/dev.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
  -days 90 -sha256 -extfile "$work/leaf.cnf" -out "$work/dev.pem" 2>/dev/null

# The certificate last: it is what the next run looks at.
for file in ca.key ca.pem dev.key dev.pem; do mv "$work/$file" "$folder/$file"; done
chmod 644 "$folder/ca.pem" "$folder/dev.pem"
echo "certs: development CA and leaf for localhost in $folder"

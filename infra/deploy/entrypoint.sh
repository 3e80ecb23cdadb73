#!/bin/sh
# Prefect reads no secrets from files, as Kairos does: for each PREFECT_..._FILE this sets the variable to the content.
set -eu
for name in $(env | sed -n 's/^\(PREFECT_[A-Z_]*\)_FILE=.*/\1/p'); do
    eval "file=\$${name}_FILE"
    if [ ! -r "$file" ]; then echo "error: ${name}_FILE=$file cannot be read; mount the secret there." >&2; exit 1; fi
    export "$name=$(cat "$file")"
    unset "${name}_FILE"
done
exec "$@"

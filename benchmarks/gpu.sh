#!/usr/bin/env bash
# Measure everything that a GPU is to be measured for, in under 8 minutes and without network.
#
#     benchmarks/gpu.sh [--out gpu.json] [--minutes 7.5] [--sections parity views ...]
#     benchmarks/gpu.sh --device cpu --tiny          # a rehearsal of every section without a GPU
#
# The first Python whose torch sees a GPU is taken (PYTHON=... names one). Packages that it lacks may lie as
# wheels in build/wheels, which git ignores; they are installed into a temporary folder:
#     pip download --no-deps --only-binary=:all: --python-version 3.12 -d build/wheels msgspec 'av<19'
set -euo pipefail
cd "$(dirname "$0")/.."

seen=cuda
for word in "$@"; do [[ $word == cpu ]] && seen=cpu; done
chosen=
for python in ${PYTHON:-python3 python .venv/bin/python /opt/conda/bin/python}; do
    if "$python" -c "import sys, torch; sys.exit('$seen' == 'cuda' and not torch.cuda.is_available())" \
        2>/dev/null; then
        chosen=$python
        break
    fi
done
[[ $chosen ]] || { echo "no Python here has a torch that sees a GPU: PYTHON=... names another" >&2; exit 3; }

if compgen -G "build/wheels/*.whl" >/dev/null; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$chosen" -m pip install -q --no-index --no-deps --target "$site" build/wheels/*.whl
    export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
fi
"$chosen" -m benchmarks.gpu "$@"

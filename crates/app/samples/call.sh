#!/usr/bin/env bash
# Calls one granted resource. Needs curl and openssl; the secret comes from the environment:
#   QT_SECRET=… bash call.sh
set -euo pipefail
HOST="@HOST@" API_PATH="@PATH@" QUERY="@QUERY@" KEY="@KEY@"
: "${QT_SECRET:?set QT_SECRET}"

timestamp="$(date +%s)000"
nonce="$(openssl rand -hex 16)"
body_hash="$(printf '' | openssl dgst -sha256 -r | cut -d ' ' -f 1)"
signature="$(printf 'GET\n%s\n%s\n%s\n%s\n%s' "$API_PATH" "$QUERY" "$body_hash" "$timestamp" "$nonce" |
  openssl dgst -sha256 -hmac "$QT_SECRET" -r | cut -d ' ' -f 1)"
curl --silent --show-error --fail-with-body "$HOST$API_PATH?$QUERY" \
  -H "X-Qt-Key: $KEY" -H "X-Qt-Timestamp: $timestamp" -H "X-Qt-Nonce: $nonce" \
  -H "X-Qt-Algorithm: HMAC-SHA256" -H "X-Qt-Signature: $signature"

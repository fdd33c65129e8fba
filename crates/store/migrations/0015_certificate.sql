-- Certificates by which applications may call over TLS instead of signing: SHA-256 of the certificate as lower hex (RFC 8705).
CREATE TABLE certificate (thumbprint TEXT PRIMARY KEY, application TEXT NOT NULL, name TEXT NOT NULL, added_at TEXT NOT NULL, added_by TEXT NOT NULL);
CREATE INDEX certificate_of ON certificate (application, added_at);

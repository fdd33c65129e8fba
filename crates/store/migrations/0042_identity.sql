-- The identity provider. `sealed` is a private key under the platform's secrets key. Codes and tokens are kept as digests; `body` is what
-- they stand for, `family` all tokens that came of one code, times are milliseconds since 1970.
CREATE TABLE identity_key (kid TEXT PRIMARY KEY, sealed TEXT NOT NULL, made_at TEXT NOT NULL);
CREATE TABLE identity_client (application TEXT PRIMARY KEY, kind TEXT NOT NULL, redirects TEXT NOT NULL, set_at TEXT NOT NULL, set_by TEXT NOT NULL);
CREATE TABLE identity_code (digest TEXT PRIMARY KEY, application TEXT NOT NULL, account TEXT NOT NULL, ends_at BIGINT NOT NULL, used BIGINT NOT NULL, body TEXT NOT NULL);
CREATE TABLE identity_token (digest TEXT PRIMARY KEY, kind TEXT NOT NULL, family TEXT NOT NULL, application TEXT NOT NULL, account TEXT NOT NULL, ends_at BIGINT NOT NULL, used BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX identity_token_family ON identity_token (family);
CREATE INDEX identity_token_of ON identity_token (application, account);
CREATE INDEX identity_token_ends ON identity_token (ends_at);
CREATE TABLE identity_consent (account TEXT NOT NULL, application TEXT NOT NULL, scope TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (account, application));
-- Accounts tied to outside identities, and sign-ins under way at outside services.
CREATE TABLE outside_identity (service TEXT NOT NULL, subject TEXT NOT NULL, account TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (service, subject));
CREATE INDEX outside_identity_account ON outside_identity (account);
CREATE TABLE outside_pending (digest TEXT PRIMARY KEY, ends_at BIGINT NOT NULL, sealed TEXT NOT NULL);

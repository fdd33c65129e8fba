-- What calls by a token of Delta Sharing are for; its clients cannot say it with each call. Empty: nothing was said.
ALTER TABLE delta_token ADD COLUMN purpose TEXT NOT NULL DEFAULT '';

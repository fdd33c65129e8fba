-- Policies and notices of the site. `body` is the whole; columns beside it are what lists look for. `words`: title and number, small letters.
CREATE TABLE site_news (id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, region TEXT NOT NULL, org TEXT NOT NULL, day TEXT NOT NULL, edit BIGINT NOT NULL, words TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX site_news_shown ON site_news (state, day, id);
CREATE INDEX site_news_region ON site_news (region, day, id);

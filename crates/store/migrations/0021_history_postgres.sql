-- History is immutable: the database itself refuses to change or remove what has happened.
CREATE FUNCTION history_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$;
CREATE TRIGGER approval_event_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON approval_event FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();
CREATE TRIGGER flow_version_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON flow_version FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();

-- History is immutable: the database itself refuses to change or remove what has happened.
CREATE TRIGGER approval_event_keep BEFORE UPDATE ON approval_event BEGIN SELECT RAISE(ABORT, 'approval_event is append-only'); END;
CREATE TRIGGER approval_event_stay BEFORE DELETE ON approval_event BEGIN SELECT RAISE(ABORT, 'approval_event is append-only'); END;
CREATE TRIGGER flow_version_keep BEFORE UPDATE ON flow_version BEGIN SELECT RAISE(ABORT, 'flow_version is append-only'); END;
CREATE TRIGGER flow_version_stay BEFORE DELETE ON flow_version BEGIN SELECT RAISE(ABORT, 'flow_version is append-only'); END;

-- A turn that went well keeps its owner until the pipelines behind it have been told, so that a death between the two loses none of
-- their turns. One text for SQLite and PostgreSQL.
UPDATE pipeline_turn SET owner = '' WHERE state <> 'running';
CREATE INDEX pipeline_turn_untold ON pipeline_turn (id) WHERE owner <> '' AND state IN ('succeeded', 'empty');

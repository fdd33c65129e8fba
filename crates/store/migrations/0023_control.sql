-- Figures of the control page: calls of a day, and what is late.
CREATE INDEX quota_day_day ON quota_day (day, entry, calls);
CREATE INDEX approval_due ON approval (phase, due, id);

-- Findings of the rule packs of compiling: how often an entry breaks a rule. The places themselves are found anew when
-- they are shown. `finding_sum` counts per organisation and rule (org '' is everybody), kept in the same transaction.
CREATE TABLE finding (entry TEXT NOT NULL, rule TEXT NOT NULL, org TEXT NOT NULL, level TEXT NOT NULL, places BIGINT NOT NULL, PRIMARY KEY (entry, rule));
CREATE INDEX finding_rule ON finding (rule, entry);
CREATE INDEX finding_org ON finding (org, entry, rule);
CREATE INDEX finding_org_rule ON finding (org, rule, entry);
CREATE TABLE finding_sum (org TEXT NOT NULL, rule TEXT NOT NULL, level TEXT NOT NULL, entries BIGINT NOT NULL, places BIGINT NOT NULL, PRIMARY KEY (org, rule));
CREATE INDEX finding_sum_rule ON finding_sum (rule, org);

"""The governor's tables and questions in SQL. It runs nothing.

Events, decisions, trainings and claims are append-only: a trigger refuses UPDATE, DELETE and TRUNCATE. ``waiting`` holds the events without
a decision, ``flight`` what has become of a training, ``source`` what it is made of,
``figures`` what monitor found last.
"""

from __future__ import annotations

SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    number       bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           text             NOT NULL UNIQUE,
    source       text             NOT NULL,
    sender       text             NOT NULL,
    trigger      text             NOT NULL,
    type         text             NOT NULL,
    use_case     text             NOT NULL,
    kind         text             NOT NULL,
    subject      text             NOT NULL,
    severity     text             NOT NULL,
    text         text             NOT NULL,
    labelled     bigint,
    since        text             NOT NULL,
    body         text             NOT NULL,
    received_at  timestamptz      NOT NULL DEFAULT now(),
    received_own double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS event_alike ON event (use_case, kind, subject, number);
CREATE TABLE IF NOT EXISTS waiting (event bigint PRIMARY KEY REFERENCES event (number));
CREATE TABLE IF NOT EXISTS decision (
    event       bigint           PRIMARY KEY REFERENCES event (number),
    verdict     text             NOT NULL CHECK (verdict IN ('yes', 'no')),
    reason      text             NOT NULL,
    counted     text             NOT NULL,
    decided_at  timestamptz      NOT NULL DEFAULT now(),
    decided_own double precision NOT NULL
);
CREATE TABLE IF NOT EXISTS training (
    use_case  text             NOT NULL,
    number    bigint           NOT NULL CHECK (number > 0),
    event     bigint           NOT NULL UNIQUE REFERENCES event (number),
    run       text             NOT NULL UNIQUE,
    payload   text             NOT NULL,
    began_at  timestamptz      NOT NULL DEFAULT now(),
    began_own double precision NOT NULL,
    PRIMARY KEY (use_case, number)
);
CREATE TABLE IF NOT EXISTS flight (
    event       bigint      PRIMARY KEY REFERENCES event (number),
    accepted_at timestamptz,
    seen_at     timestamptz,
    ended_at    timestamptz,
    phase       text        NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS claim (
    event      bigint      PRIMARY KEY REFERENCES training (event),
    uid        text        NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS flight_open ON flight (event) WHERE ended_at IS NULL;
CREATE TABLE IF NOT EXISTS source (
    use_case text        PRIMARY KEY,
    source   text        NOT NULL,
    run      text        NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS figures (
    use_case text   PRIMARY KEY,
    text     text   NOT NULL,
    sent_s   bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS clock (
    number bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    own    double precision NOT NULL,
    wall   double precision NOT NULL,
    speed  double precision NOT NULL
);
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the governor''s record is append-only'; END $$;
""" + "".join(
    f"CREATE OR REPLACE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}\n"
    "    EXECUTE FUNCTION refuse_change();\n"
    for table in ("event", "decision", "training", "claim", "clock")
)

ADD_EVENT = """
WITH made AS (
    INSERT INTO event (id, source, sender, trigger, type, use_case, kind, subject, severity, text, labelled, since, body, received_own)
    SELECT %(id)s, %(source)s, %(sender)s, %(trigger)s, %(type)s, %(use_case)s, %(kind)s, %(subject)s, %(severity)s, %(text)s,
           %(labelled)s::bigint, %(since)s, %(body)s, %(received_own)s
    WHERE (SELECT count(*) FROM waiting) < %(most)s
    ON CONFLICT (id) DO NOTHING
    RETURNING *
), queued AS (INSERT INTO waiting (event) SELECT number FROM made)
SELECT *, extract(epoch FROM received_at)::float8 AS received_s FROM made
"""
"""Nothing comes back where the id is known, or where too many wait."""

_TOLD = """
SELECT e.number, e.id, e.source, e.sender, e.trigger, e.type, e.use_case, e.kind, e.subject, e.severity, e.text, e.body,
       extract(epoch FROM e.received_at)::float8 AS received_at,
       d.verdict, d.reason, d.counted, extract(epoch FROM d.decided_at)::float8 AS decided_at,
       t.run, f.phase, f.accepted_at IS NOT NULL AS accepted
FROM event e LEFT JOIN decision d ON d.event = e.number LEFT JOIN training t ON t.event = e.number
LEFT JOIN flight f ON f.event = e.number
"""

EVENTS = _TOLD + "WHERE %(use_case)s IN ('', e.use_case) ORDER BY e.number DESC LIMIT %(limit)s"
DECISIONS = _TOLD + (
    "WHERE d.event IS NOT NULL AND %(use_case)s IN ('', e.use_case) AND %(verdict)s IN ('', d.verdict)\n"
    "ORDER BY d.decided_at DESC, e.number DESC LIMIT %(limit)s"
)
EVENT = _TOLD + "WHERE e.id = %(id)s"
EVENTS_BEGINNING = _TOLD + "WHERE starts_with(e.id, %(id)s) ORDER BY e.number DESC LIMIT 2"

WAITING = """
SELECT e.number, e.id, e.trigger, e.use_case, e.kind, e.subject, e.labelled, e.text, e.since, e.received_own AS received
FROM waiting w JOIN event e ON e.number = w.event ORDER BY e.number LIMIT %(limit)s
"""

ALIKE = """
SELECT count(*) AS together, max(labelled) AS labelled FROM event
WHERE use_case = %(use_case)s AND kind = %(kind)s AND subject = %(subject)s AND trigger = 'alert'
  AND number >= %(number)s AND received_own <= %(until)s
"""

FIRST = """
SELECT e.number, e.id, e.trigger, e.use_case, e.kind, e.subject, e.labelled, e.text, e.received_own AS received
FROM event e JOIN decision d ON d.event = e.number
WHERE e.use_case = %(use_case)s AND e.kind = %(kind)s AND e.subject = %(subject)s AND e.trigger = 'alert'
  AND e.number < %(number)s AND e.received_own >= %(since)s AND NOT d.counted::jsonb ? 'one_with'
ORDER BY e.number DESC LIMIT 1
"""

TRAININGS = """
SELECT t.run, e.id AS event, t.began_own AS began, f.ended_at IS NOT NULL AS ended, f.phase
FROM training t JOIN event e ON e.number = t.event JOIN flight f ON f.event = t.event
WHERE t.use_case = %(use_case)s AND (f.ended_at IS NULL OR t.number > (SELECT max(number) FROM training WHERE use_case = %(use_case)s) - %(limit)s)
ORDER BY t.number DESC
"""

DECIDE = """
WITH decided AS (
    INSERT INTO decision (event, verdict, reason, counted, decided_own)
    VALUES (%(event)s, %(verdict)s, %(reason)s, %(counted)s, %(now)s)
), intended AS (
    INSERT INTO training (use_case, number, event, run, payload, began_own)
    SELECT %(use_case)s, %(training)s, %(event)s, %(run)s, %(payload)s, %(now)s WHERE %(verdict)s = 'yes'
), flying AS (INSERT INTO flight (event) SELECT %(event)s WHERE %(verdict)s = 'yes')
DELETE FROM waiting WHERE event = %(event)s
"""
"""One transaction. It fails as a whole where the event is decided, or another training of the use case has that number."""

COUNT = "SELECT count(*) AS trainings FROM training WHERE use_case = %(use_case)s"

OPEN = """
SELECT t.event AS number, e.id AS event, t.use_case, t.run, t.payload, f.accepted_at IS NOT NULL AS accepted,
       f.seen_at IS NOT NULL AS seen, extract(epoch FROM now() - f.accepted_at)::float8 AS accepted_s
FROM flight f JOIN training t ON t.event = f.event JOIN event e ON e.number = t.event
WHERE f.ended_at IS NULL ORDER BY t.event
"""

ACCEPTED = "UPDATE flight SET accepted_at = coalesce(accepted_at, now()) WHERE event = %(event)s"
SEEN = """
UPDATE flight SET seen_at = coalesce(seen_at, now()), phase = %(phase)s,
                  ended_at = CASE WHEN %(ended)s THEN coalesce(ended_at, now()) END
WHERE event = %(event)s
"""
LOST = "UPDATE flight SET ended_at = now(), phase = %(phase)s WHERE event = %(event)s AND ended_at IS NULL"

MEANT = """
SELECT t.event AS number, e.id AS event, d.reason, t.payload, f.phase, f.ended_at IS NOT NULL AS ended, coalesce(c.uid, '') AS uid
FROM training t JOIN event e ON e.number = t.event JOIN decision d ON d.event = t.event JOIN flight f ON f.event = t.event
LEFT JOIN claim c ON c.event = t.event WHERE t.run = %(run)s
"""
CLAIM = "INSERT INTO claim (event, uid) VALUES (%(event)s, %(uid)s) ON CONFLICT (event) DO NOTHING"

SOURCE = "SELECT source FROM source WHERE use_case = %(use_case)s"
KEEP_SOURCE = """
INSERT INTO source (use_case, source, run) VALUES (%(use_case)s, %(source)s, %(run)s)
ON CONFLICT (use_case) DO UPDATE SET source = excluded.source, run = excluded.run, found_at = now()
WHERE source.run <> excluded.run
"""

KEEP_FIGURES = """
INSERT INTO figures (use_case, text, sent_s)
VALUES (%(use_case)s, %(text)s, %(sent_s)s)
ON CONFLICT (use_case) DO UPDATE SET text = excluded.text, sent_s = excluded.sent_s WHERE figures.sent_s <= excluded.sent_s
"""
FIGURES = "SELECT text FROM figures WHERE sent_s >= extract(epoch FROM now()) - %(forgotten_s)s ORDER BY use_case"

CLOCK = """
SELECT c.own, c.wall, c.speed,
       greatest((SELECT max(received_own) FROM event), (SELECT max(decided_own) FROM decision), 0) AS latest
FROM (SELECT 1) AS one LEFT JOIN LATERAL (SELECT own, wall, speed FROM clock ORDER BY number DESC LIMIT 1) c ON true
"""
KEEP_CLOCK = "INSERT INTO clock (own, wall, speed) VALUES (%(own)s, %(wall)s, %(speed)s)"

COUNTS = """
SELECT (SELECT count(*) FROM waiting) AS waiting, (SELECT count(*) FROM flight WHERE ended_at IS NULL) AS open,
       (SELECT count(*) FROM decision WHERE verdict = 'yes') AS yes, (SELECT count(*) FROM decision WHERE verdict = 'no') AS no
"""

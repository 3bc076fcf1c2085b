"""The release ledger's tables and questions in SQL. It runs nothing.

What tells of the past is append-only: a trigger refuses UPDATE, DELETE and TRUNCATE. Columns that came later are added to
older databases, with what they would have said then. Columns that a newer ledger added are not asked for.
"""

# ruff: noqa: S608 - what is put into the questions are names of our own records' fields

from __future__ import annotations

from tiphys.release.records import EvidenceRecorded, Outcome, PassportRecorded, Recorded, ServiceRecorded

_APPEND_ONLY = ("release", "service_release", "evidence", "passport", "outcome")

SCHEMA = """
CREATE TABLE IF NOT EXISTS release (
    environment     text        NOT NULL,
    generation      bigint      NOT NULL CHECK (generation > 0),
    use_case        text        NOT NULL,
    model_version   text        NOT NULL,
    repository      text        NOT NULL,
    manifest_sha256 text        NOT NULL,
    image           text        NOT NULL DEFAULT '',
    reason          text        NOT NULL,
    run             text        NOT NULL,
    made_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (environment, generation)
);
CREATE TABLE IF NOT EXISTS service_release (
    environment text        NOT NULL,
    generation  bigint      NOT NULL CHECK (generation > 0),
    revision    text        NOT NULL,
    images      text        NOT NULL,
    reason      text        NOT NULL,
    run         text        NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (environment, generation)
);
CREATE TABLE IF NOT EXISTS evidence (
    number          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case        text        NOT NULL,
    model_version   text        NOT NULL,
    manifest_sha256 text        NOT NULL,
    kind            text        NOT NULL,
    held            boolean     NOT NULL,
    content         text        NOT NULL,
    run             text        NOT NULL,
    asked_by        text        NOT NULL,
    made_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS evidence_of_a_repository ON evidence (manifest_sha256, kind, number);
CREATE TABLE IF NOT EXISTS passport (
    sha256     text        PRIMARY KEY,
    text       text        NOT NULL,
    signature  text        NOT NULL,
    public_key text        NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS outcome (
    environment text        NOT NULL,
    generation  bigint      NOT NULL,
    state       text        NOT NULL,
    message     text        NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (environment, generation, state)
);
CREATE TABLE IF NOT EXISTS observed (
    environment text        NOT NULL,
    model       text        NOT NULL,
    generation  bigint      NOT NULL,
    state       text        NOT NULL,
    message     text        NOT NULL,
    version     text        NOT NULL,
    image       text        NOT NULL DEFAULT '',
    reported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (environment, model)
);
ALTER TABLE release
    ADD COLUMN IF NOT EXISTS image    text             NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS kind     text             NOT NULL DEFAULT 'release',
    ADD COLUMN IF NOT EXISTS share    double precision NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS shadow   double precision NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS until    timestamptz,
    ADD COLUMN IF NOT EXISTS passport text             NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS asked_by text             NOT NULL DEFAULT '';
ALTER TABLE observed ADD COLUMN IF NOT EXISTS image text NOT NULL DEFAULT '';
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the release ledger is append-only'; END $$;
""" + "".join(
    f"CREATE OR REPLACE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}\n"
    "    EXECUTE FUNCTION refuse_change();\n"
    for table in _APPEND_ONLY
)

_RELEASE, _SERVICES, _EVIDENCE, _PASSPORT, _OUTCOME = (
    ", ".join(record.model_fields)
    for record in (Recorded, ServiceRecorded, EvidenceRecorded, PassportRecorded, Outcome)
)

CURRENT = f"""
SELECT DISTINCT ON (use_case) {_RELEASE} FROM release WHERE environment = %(environment)s ORDER BY use_case, generation DESC
"""

APPEND = f"""
INSERT INTO release (environment, generation, use_case, model_version, repository, manifest_sha256, image, kind,
                     share, shadow, until, passport, reason, asked_by, run)
SELECT %(environment)s, %(expected)s + 1, %(use_case)s, %(model_version)s, %(repository)s, %(manifest_sha256)s,
       %(image)s, %(kind)s, %(share)s, %(shadow)s, %(until)s, %(passport)s, %(reason)s, %(asked_by)s, %(run)s
WHERE (SELECT coalesce(max(generation), 0) FROM release WHERE environment = %(environment)s) = %(expected)s
ON CONFLICT (environment, generation) DO NOTHING
RETURNING {_RELEASE}
"""

HAD = """
SELECT 1 FROM release
WHERE environment = %(environment)s AND use_case = %(use_case)s AND model_version = %(model_version)s
  AND repository = %(repository)s AND manifest_sha256 = %(manifest_sha256)s AND image = %(image)s
  AND passport = %(passport)s
LIMIT 1
"""

HISTORY = f"""
SELECT {_RELEASE} FROM release WHERE environment = %(environment)s AND %(use_case)s IN ('', use_case)
ORDER BY generation DESC LIMIT %(limit)s
"""

APPEND_SERVICES = f"""
INSERT INTO service_release (environment, generation, revision, images, reason, run)
SELECT %(environment)s, %(expected)s + 1, %(revision)s, %(images)s, %(reason)s, %(run)s
WHERE (SELECT coalesce(max(generation), 0) FROM service_release WHERE environment = %(environment)s) = %(expected)s
ON CONFLICT (environment, generation) DO NOTHING
RETURNING {_SERVICES}
"""

SERVICES = f"""
SELECT {_SERVICES} FROM service_release WHERE environment = %(environment)s ORDER BY generation DESC LIMIT %(limit)s
"""

ADD_EVIDENCE = f"""
INSERT INTO evidence (use_case, model_version, manifest_sha256, kind, held, content, run, asked_by)
VALUES (%(use_case)s, %(model_version)s, %(manifest_sha256)s, %(kind)s, %(held)s, %(content)s, %(run)s, %(asked_by)s)
RETURNING {_EVIDENCE}
"""

EVIDENCE = f"""
SELECT {_EVIDENCE} FROM evidence
WHERE %(use_case)s IN ('', use_case) AND %(model_version)s IN ('', model_version)
  AND %(manifest_sha256)s IN ('', manifest_sha256) AND %(kind)s IN ('', kind)
ORDER BY number DESC LIMIT %(limit)s
"""

WEIGHED = f"""
(SELECT DISTINCT ON (kind) {_EVIDENCE} FROM evidence WHERE manifest_sha256 = %(manifest_sha256)s ORDER BY kind, number DESC)
UNION
(SELECT {_EVIDENCE} FROM evidence WHERE manifest_sha256 = %(manifest_sha256)s AND number = ANY(%(cited)s))
ORDER BY number DESC
"""

ADD_PASSPORT = """
INSERT INTO passport (sha256, text, signature, public_key)
VALUES (%(sha256)s, %(text)s, %(signature)s, %(public_key)s)
ON CONFLICT (sha256) DO NOTHING
"""

PASSPORT = f"SELECT {_PASSPORT} FROM passport WHERE sha256 = %(sha256)s"

OBSERVED = "SELECT model, generation, state, message, version, image FROM observed WHERE environment = %(environment)s"

OBSERVE = """
INSERT INTO observed (environment, model, generation, state, message, version, image)
VALUES (%(environment)s, %(model)s, %(generation)s, %(state)s, %(message)s, %(version)s, %(image)s)
ON CONFLICT (environment, model) DO UPDATE SET
    generation = excluded.generation, state = excluded.state, message = excluded.message,
    version = excluded.version, image = excluded.image, reported_at = now()
"""

ADD_OUTCOME = """
INSERT INTO outcome (environment, generation, state, message)
SELECT %(environment)s, %(generation)s, %(state)s, %(message)s
WHERE EXISTS (SELECT 1 FROM release WHERE environment = %(environment)s AND generation = %(generation)s)
ON CONFLICT DO NOTHING
"""

OUTCOMES = f"""
SELECT {_OUTCOME} FROM outcome WHERE environment = %(environment)s ORDER BY generation DESC, made_at DESC LIMIT %(limit)s
"""

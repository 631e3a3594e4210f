import type { DatabaseSync } from 'node:sqlite'

/** The data folder was written by a newer version of the service. */
export class SchemaTooNew extends Error {
  override name = 'SchemaTooNew'
}

/** Each brings `state.db` one version on. What was released is never edited: add one. */
export const STATE_MIGRATIONS: readonly string[] = [
  `
create table repositories (
  id text primary key,
  github_id bigint unique,
  name text,
  created bigint not null
);
create unique index repositories_name on repositories (lower(name));

create table deliveries (
  id text primary key,
  body_sha256 text not null,
  event text not null,
  did text not null,
  received bigint not null
);
create index deliveries_body on deliveries (body_sha256, received);

create table pushes (
  repository text not null,
  commit_id text not null,
  ref text not null,
  received bigint not null,
  primary key (repository, commit_id, ref)
);

create table jobs (
  id text primary key,
  kind text not null,
  key text not null,
  supersedes text,
  payload text not null,
  state text not null check (state in ('queued', 'running', 'done', 'failed', 'superseded')),
  run_after bigint not null,
  lease_owner text,
  lease_until bigint,
  fence bigint not null,
  attempts bigint not null,
  error text,
  created bigint not null,
  finished bigint
);
create unique index jobs_active on jobs (kind, key) where state in ('queued', 'running');
create index jobs_due on jobs (kind, run_after, id) where state in ('queued', 'running');
create index jobs_group on jobs (kind, supersedes) where state = 'queued';

create table bundles (
  domain text not null,
  commit_id text not null,
  digest text not null,
  size bigint not null,
  created bigint not null,
  primary key (domain, commit_id)
);

create table grants (
  domain text not null,
  digest text not null,
  created bigint not null,
  primary key (domain, digest)
);

create table locks (
  domain text not null,
  key text not null,
  lock text not null,
  created bigint not null,
  primary key (domain, key)
);

create table fragments (
  domain text not null,
  key text not null,
  manifest text not null,
  created bigint not null,
  primary key (domain, key)
);

create table layers (
  key text primary key,
  digest text not null,
  diff_id text not null,
  size bigint not null,
  tar_size bigint not null
);

create table images (
  domain text not null,
  key text not null,
  digest text not null,
  plain text not null,
  layout text not null,
  lock text not null,
  lineage text not null,
  kin text not null,
  branch text not null,
  "user" text not null,
  created bigint not null,
  used bigint not null,
  primary key (domain, key)
);
create index images_lineage on images (domain, lineage, created);
create index images_kin on images (domain, kin, created);
create index images_used on images (used);

create table leftovers (
  digest text primary key,
  since bigint not null
);

create table probes (
  base text primary key,
  probe text not null
);

create table builds (
  id text primary key,
  domain text not null,
  key text not null,
  state text not null check (state in ('queued', 'building', 'finished', 'failed')),
  request text not null,
  message text,
  hint text,
  cache text,
  image text,
  created bigint not null,
  finished bigint
);
create unique index builds_active on builds (domain, key) where state in ('queued', 'building');

create table environments (
  domain text not null,
  commit_id text not null,
  request text not null,
  build text not null references builds (id),
  primary key (domain, commit_id, request)
);

create table runs (
  id text primary key,
  domain text not null,
  repository text not null,
  commit_id text not null,
  request text not null,
  state text not null check (state in ('queued', 'building', 'starting', 'running', 'finished')),
  outcome text,
  exit_code bigint,
  message text,
  hint text,
  build text references builds (id),
  image text,
  cache text,
  node text,
  container text,
  cancel bigint not null,
  created bigint not null,
  started bigint,
  finished bigint,
  ms_to_start bigint,
  result text,
  check ((state = 'finished') = (outcome is not null))
);
create index runs_repository on runs (repository, id);
create index runs_unfinished on runs (id) where state <> 'finished';

create table tokens (
  hash text primary key,
  repository text not null,
  name text not null,
  workflow_run text,
  expires bigint not null
);
create index tokens_expires on tokens (expires);

create table nodes (
  id text primary key,
  heartbeat bigint not null,
  cpus double precision not null,
  memory bigint not null
);

create table standbys (
  container text primary key,
  node text not null,
  key text not null,
  state text not null check (state in ('preparing', 'ready', 'used')),
  memory bigint not null,
  created bigint not null,
  expires bigint not null
);
create index standbys_key on standbys (node, key);

create table manifests (
  repository text not null,
  digest text not null,
  media_type text not null,
  primary key (repository, digest)
);

create table tags (
  repository text not null,
  tag text not null,
  digest text not null,
  primary key (repository, tag),
  foreign key (repository, digest) references manifests (repository, digest)
);
`,
]

/** Each brings `events.db` one version on. */
export const EVENTS_MIGRATIONS: readonly string[] = [
  `
create table events (
  stream text not null,
  seq bigint not null,
  event text not null,
  primary key (stream, seq)
);
`,
]

/**
 * Brings a database to the newest version, all or nothing; two processes may try at once.
 * @throws {SchemaTooNew}
 */
export function migrate(db: DatabaseSync, file: string, migrations: readonly string[]): void {
  if (versionOf(db) === migrations.length) return
  db.exec('BEGIN IMMEDIATE')
  try {
    const version = versionOf(db)
    if (version > migrations.length) {
      throw new SchemaTooNew(
        `${file} has schema version ${version}, this service knows up to ${migrations.length}: start the version of the service that wrote it, or a newer one`,
      )
    }
    for (const migration of migrations.slice(version)) db.exec(migration)
    db.exec(`PRAGMA user_version = ${migrations.length}`)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function versionOf(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.user_version)
}

-- What PostgreSQL's own catalogue says about tables, functions, the server and rights. PostgreSQL 15 to 18.
-- Columns that only newer versions have are read through to_jsonb(row), which gives NULL where they are missing.

-- name: search_path
select current_setting('search_path') as search_path;

-- name: set_search_path
-- Until the transaction ends.
select set_config('search_path', %(path)s, true);

-- name: tables
-- Ordinary and partitioned tables: the named ones, or all that are no system's, no session's and no partition of another.
-- A partitioned table is as large as its partitions together.
select c.oid,
       n.nspname as schema,
       c.relname as name,
       c.relreplident::text as replica_identity,
       size.rows as rows_estimate,
       size.bytes as bytes_estimate
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
    select coalesce(sum(greatest(part.reltuples, 0)), 0)::bigint as rows,
           coalesce(sum(pg_total_relation_size(part.oid)), 0)::bigint as bytes
    from pg_class part
    where part.relkind = 'r'
      and (part.oid = c.oid
           or c.relkind = 'p' and part.oid in (select relid from pg_partition_tree(c.oid)))
) size
where c.relkind in ('r', 'p')
  and case
        when %(all)s::boolean then
            not c.relispartition and c.relpersistence <> 't'
            and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
        else (n.nspname, c.relname) in (select * from unnest(%(schemas)s::name[], %(names)s::name[]))
      end
order by n.nspname, c.relname;

-- name: columns
-- A domain is followed to its base type: its values travel as that type, and its NOT NULL and DEFAULT are the column's.
-- collation_c: only text whose order is that of its UTF-8 bytes, which is the order of code points. Padded char(n) and
-- extension types such as citext compare in ways of their own.
with recursive resolved as (
    select a.attrelid, a.attnum, a.atttypid as typid, a.atttypmod as typmod, false as not_null, false as has_default
    from pg_attribute a
    where a.attrelid = any(%(oids)s::oid[]) and a.attnum > 0 and not a.attisdropped
    union all
    select r.attrelid, r.attnum, t.typbasetype, t.typtypmod, r.not_null or t.typnotnull,
           r.has_default or t.typdefault is not null
    from resolved r
    join pg_type t on t.oid = r.typid and t.typtype = 'd'
),
default_collation as (
    select d.encoding,
           d.datlocprovider::text as provider,
           d.datcollate as collate
    from pg_database d
    where d.datname = current_database()
),
collations as (
    select c.oid,
           case when c.collprovider = 'd' then d.provider else c.collprovider::text end as provider,
           case when c.collprovider = 'd' then d.collate else c.collcollate end as collate,
           c.collisdeterministic as deterministic,
           pg_encoding_to_char(d.encoding) = 'UTF8' as utf8
    from pg_collation c
    cross join default_collation d
)
select a.attrelid as oid,
       a.attname as name,
       format_type(r.typid, r.typmod) as type,
       not (a.attnotnull or r.not_null) as nullable,
       (a.atthasdef and a.attgenerated = '') or a.attidentity <> '' or r.has_default as has_default,
       a.attgenerated <> '' as generated,
       a.attidentity = 'a' as identity_always,
       r.typid in ('text'::regtype, 'varchar'::regtype, 'name'::regtype) and coalesce(
           k.utf8 and k.deterministic
           and (k.provider = 'b' or k.provider = 'c' and upper(k.collate) in ('C', 'POSIX', 'C.UTF-8', 'C.UTF8')),
           false) as collation_c,
       coalesce((select array_agg(e.enumlabel::text order by e.enumsortorder) from pg_enum e where e.enumtypid = r.typid),
                '{}') as labels
from pg_attribute a
join resolved r on r.attrelid = a.attrelid and r.attnum = a.attnum
join pg_type t on t.oid = r.typid and t.typtype <> 'd'
left join collations k on k.oid = a.attcollation
order by a.attrelid, a.attnum;

-- name: types
-- The columns' own types, domains as such: quick.
select c.oid,
       a.attname as name,
       format_type(a.atttypid, a.atttypmod) as type
from pg_namespace n
join pg_class c on c.relnamespace = n.oid and c.relname = %(name)s
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = %(schema)s;

-- name: indexes
-- Primary keys, everything else that keeps rows unique (exclusion constraints too: `partial`), and the replica identity's
-- index. An invalid index counts once it is maintained: it refuses new rows already.
select i.indrelid as oid,
       c.relname as name,
       i.indisprimary and i.indisvalid as is_primary,
       i.indisunique or i.indisexclusion as is_unique,
       i.indisreplident as is_replica_identity,
       i.indpred is not null or i.indisexclusion or 0 = any(i.indkey[0:i.indnkeyatts - 1]) as partial,
       coalesce((
           select array_agg(a.attname::text order by k.place)
           from unnest(i.indkey[0:i.indnkeyatts - 1]) with ordinality k (attnum, place)
           join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
       ), '{}') as columns
from pg_index i
join pg_class c on c.oid = i.indexrelid
where i.indrelid = any(%(oids)s::oid[])
  and i.indislive and i.indisready
  and (i.indisunique or i.indisexclusion)
order by i.indrelid, c.relname;

-- name: foreign_keys
-- The foreign keys that are checked: not NOT ENFORCED (18), and not with all triggers of the table's side disabled.
-- A partitioned table has no check triggers of its own, its partitions have them.
select k.conrelid as oid, k.conname as name
from pg_constraint k
where k.conrelid = any(%(oids)s::oid[])
  and k.contype = 'f'
  and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
  and coalesce((
      select bool_or(t.tgenabled <> 'D') from pg_trigger t where t.tgconstraint = k.oid and t.tgrelid = k.conrelid
  ), true)
order by k.conrelid, k.conname;

-- name: references
-- What every foreign key points to, enforced or not.
select k.conrelid as oid, n.nspname as schema, c.relname as table,
       (select array_agg(a.attname::text order by p.place)
        from unnest(k.conkey) with ordinality p (attnum, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = p.attnum) as columns,
       (select array_agg(a.attname::text order by p.place)
        from unnest(k.confkey) with ordinality p (attnum, place)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = p.attnum) as referenced
from pg_constraint k
join pg_class c on c.oid = k.confrelid
join pg_namespace n on n.oid = c.relnamespace
where k.conrelid = any(%(oids)s::oid[])
  and k.contype = 'f'
  and not c.relispartition
order by k.conrelid, k.conname;

-- name: functions
-- Names that are safe in a mapping: whichever overload the engine picks, it depends on its arguments alone.
select p.proname as name
from pg_proc p
where p.pronamespace = 'pg_catalog'::regnamespace
  and not starts_with(p.proname, 'pg_')
group by p.proname
having bool_and(p.provolatile = 'i' and p.prokind = 'f' and not p.proretset);

-- name: server_facts
-- rds_replication: where nobody is given REPLICATION itself, the service's own role stands for it.
select current_setting('server_version_num')::int as version_num,
       current_setting('wal_level') as wal_level,
       current_setting('max_replication_slots')::int as max_replication_slots,
       (select count(*) from pg_replication_slots)::int as slots_used,
       pg_is_in_recovery() as in_recovery,
       pg_encoding_to_char(d.encoding) as encoding,
       r.rolsuper or r.rolreplication
           or exists (select from pg_roles s where s.rolname = 'rds_replication' and pg_has_role(s.oid, 'member'))
           as can_replicate,
       current_user::text as username,
       current_database()::text as database,
       has_function_privilege('pg_catalog.pg_control_system()', 'execute') as can_identify
from pg_database d
join pg_roles r on r.rolname = current_user
where d.datname = current_database();

-- name: system_identifier
select system_identifier::text from pg_control_system();

-- name: missing_grants
-- Rights on named tables that the current user lacks, and the statement that mends it, whole.
with wanted as (
    select c.oid, n.oid as schema_oid, n.nspname, c.relname, p.privilege, p.place
    from unnest(%(schemas)s::name[], %(names)s::name[]) as w (schema, name)
    join pg_namespace n on n.nspname = w.schema
    join pg_class c on c.relnamespace = n.oid and c.relname = w.name
    cross join unnest(%(privileges)s::text[]) with ordinality as p (privilege, place)
),
missing as (
    select nspname, relname,
           bool_or(not has_schema_privilege(schema_oid, 'usage')) as no_usage,
           array_agg(privilege order by place)
               filter (where not has_table_privilege(oid, privilege)) as privileges
    from wanted
    group by nspname, relname
)
select nspname || '.' || relname as table,
       coalesce(privileges, '{}') as privileges,
       no_usage,
       concat_ws(' ',
           case when no_usage then format('GRANT USAGE ON SCHEMA %%I TO %%I;', nspname, current_user) end,
           case when privileges is not null then
               format('GRANT %%s ON %%I.%%I TO %%I;', array_to_string(privileges, ', '), nspname, relname, current_user)
           end) as mend
from missing
where no_usage or privileges is not null
order by nspname, relname;

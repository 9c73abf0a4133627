-- What `doctor` asks of a server, on either side: settings, sessions, and what else is on the mapped tables. Every
-- statement only reads, and waits for no lock that a SELECT does not take. PostgreSQL 15 to 18.
-- Settings that only newer versions have are read with missing_ok.

-- name: server
-- Sizes in bytes, times in seconds; -1 is no limit. numbackends is seen by everybody, other sessions' details are not.
select extract(epoch from clock_timestamp())::float8 as clock_s,
       current_setting('max_wal_senders')::int as max_wal_senders,
       (select count(*) from pg_stat_replication)::int as wal_senders,
       pg_size_bytes(current_setting('max_slot_wal_keep_size')) as slot_limit_bytes,
       coalesce((
           select s.setting::bigint * case s.unit when 'min' then 60 when 's' then 1 else 1 end
           from pg_settings s
           where s.name = 'idle_replication_slot_timeout'
       ), 0) as idle_slot_limit_s,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_sessions,
       has_function_privilege('pg_catalog.pg_ls_waldir()', 'execute') as sees_wal,
       current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true)::int, 0) as connections_max,
       (select coalesce(sum(numbackends), 0) from pg_stat_database)::int as connections_used,
       d.datconnlimit as database_limit,
       (select coalesce(sum(s.numbackends), 0) from pg_stat_database s where s.datname = d.datname)::int as database_used,
       r.rolconnlimit as role_limit,
       (select count(*) from pg_stat_activity a where a.usename = current_user)::int as role_used,
       r.rolsuper as superuser
from pg_database d
join pg_roles r on r.rolname = current_user
where d.datname = current_database();

-- name: wal_bytes
select coalesce(sum(size), 0)::bigint as bytes from pg_ls_waldir();

-- name: transactions
-- Sessions of clients whose transaction is older than this, and which hold something back: an id (a new slot waits for
-- it), a snapshot (dead rows are kept for it), or locks.
select a.pid,
       coalesce(a.datname, '') as database,
       coalesce(a.usename, '') as role,
       coalesce(a.state, '') as state,
       extract(epoch from clock_timestamp() - a.xact_start)::float8 as age_s
from pg_stat_activity a
where a.xact_start < clock_timestamp() - make_interval(secs => %(older_s)s)
  and a.pid <> pg_backend_pid()
  and a.backend_type = 'client backend'
  and (a.backend_xid is not null or a.backend_xmin is not null or a.state like 'idle in transaction%%')
order by a.xact_start;

-- name: prepared
select p.gid,
       p.database::text as database,
       format('%%L', p.gid) as quoted,
       extract(epoch from clock_timestamp() - p.prepared)::float8 as age_s
from pg_prepared_xacts p
where p.prepared < clock_timestamp() - make_interval(secs => %(older_s)s)
order by p.prepared;

-- name: tables
-- unlogged: the table, or one of its partitions. row_security: rows that the current user may not see.
select n.nspname || '.' || c.relname as table,
       format('%%I.%%I', n.nspname, c.relname) as quoted,
       c.relkind = 'p' as partitioned,
       c.relispartition as is_partition,
       row_security_active(c.oid) as row_security,
       (select coalesce(array_agg(format('%%I.%%I', pn.nspname, part.relname) order by pn.nspname, part.relname), '{}')
        from pg_class part
        join pg_namespace pn on pn.oid = part.relnamespace
        where part.relpersistence = 'u' and part.relkind = 'r'
          and (part.oid = c.oid or c.relkind = 'p' and part.oid in (select relid from pg_partition_tree(c.oid)))
       ) as unlogged
from unnest(%(schemas)s::name[], %(names)s::name[]) as w (schema, name)
join pg_namespace n on n.nspname = w.schema
join pg_class c on c.relnamespace = n.oid and c.relname = w.name and c.relkind in ('r', 'p')
order by 1;

-- name: triggers
-- Users' triggers that are not disabled. tgenabled: O(rigin), A(lways), R(eplica).
select n.nspname || '.' || c.relname as table,
       t.tgname as name,
       t.tgenabled::text as enabled,
       format('ALTER TABLE %%I.%%I ENABLE TRIGGER %%I', n.nspname, c.relname, t.tgname) as to_origin,
       format('ALTER TABLE %%I.%%I DISABLE TRIGGER %%I', n.nspname, c.relname, t.tgname) as to_disabled
from unnest(%(schemas)s::name[], %(names)s::name[]) as w (schema, name)
join pg_namespace n on n.nspname = w.schema
join pg_class c on c.relnamespace = n.oid and c.relname = w.name
join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled <> 'D'
order by 1, 2;

-- name: checks
-- Enforced check constraints (18 has others), with the columns that they look at.
select n.nspname || '.' || c.relname as table,
       k.conname as name,
       pg_get_constraintdef(k.oid) as definition,
       coalesce((select array_agg(a.attname::text order by a.attname) from pg_attribute a
                 where a.attrelid = k.conrelid and a.attnum = any(k.conkey)), '{}') as columns,
       format('ALTER TABLE %%I.%%I DROP CONSTRAINT %%I', n.nspname, c.relname, k.conname) as drop
from unnest(%(schemas)s::name[], %(names)s::name[]) as w (schema, name)
join pg_namespace n on n.nspname = w.schema
join pg_class c on c.relnamespace = n.oid and c.relname = w.name
join pg_constraint k on k.conrelid = c.oid and k.contype = 'c'
where coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
order by 1, 2;

-- name: indexes
-- Every index in use. arbiter: ON CONFLICT can name its columns (whole, valid, not deferrable, no expression).
select n.nspname || '.' || c.relname as table,
       x.relname as name,
       i.indisprimary as is_primary,
       i.indisunique as is_unique,
       i.indisexclusion as is_exclusion,
       i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null
           and not 0 = any(i.indkey[0:i.indnkeyatts - 1]) as arbiter,
       i.indisunique and not i.indimmediate as deferrable,
       coalesce((
           select array_agg(a.attname::text order by k.place)
           from unnest(i.indkey[0:i.indnkeyatts - 1]) with ordinality k (attnum, place)
           join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
       ), '{}') as columns,
       i.indpred is not null or 0 = any(i.indkey[0:i.indnkeyatts - 1]) as partial,
       pg_get_indexdef(i.indexrelid) as definition,
       case when k.oid is not null
            then format('ALTER TABLE %%I.%%I DROP CONSTRAINT %%I', n.nspname, c.relname, k.conname)
            else format('DROP INDEX %%I.%%I', n.nspname, x.relname) end as drop
from unnest(%(schemas)s::name[], %(names)s::name[]) as w (schema, name)
join pg_namespace n on n.nspname = w.schema
join pg_class c on c.relnamespace = n.oid and c.relname = w.name
join pg_index i on i.indrelid = c.oid and i.indislive and i.indisready
join pg_class x on x.oid = i.indexrelid
left join pg_constraint k on k.conindid = i.indexrelid and k.conrelid = c.oid and k.contype in ('p', 'u', 'x')
order by 1, 2;

-- name: texts
-- Columns whose values are equal although their characters are not: citext, and collations that are not deterministic.
-- exact: the statement that makes them compare character by character.
select n.nspname || '.' || c.relname as table,
       a.attname as column,
       case when t.typname = 'citext' then 'citext' else 'collation ' || l.collname end as why,
       format('ALTER TABLE %%I.%%I ALTER COLUMN %%I TYPE %%s COLLATE "C"', n.nspname, c.relname, a.attname,
              case when t.typname = 'citext' then 'text' else format_type(a.atttypid, a.atttypmod) end) as exact
from unnest(%(schemas)s::name[], %(names)s::name[]) as w (schema, name)
join pg_namespace n on n.nspname = w.schema
join pg_class c on c.relnamespace = n.oid and c.relname = w.name
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
left join pg_collation l on l.oid = a.attcollation
where t.typname = 'citext' or not coalesce(l.collisdeterministic, true)
order by 1, 2;

-- name: sequences
-- Sequences that columns of these tables own: serial and identity.
select n.nspname || '.' || c.relname as table,
       count(*)::int as sequences
from unnest(%(schemas)s::name[], %(names)s::name[]) as w (schema, name)
join pg_namespace n on n.nspname = w.schema
join pg_class c on c.relnamespace = n.oid and c.relname = w.name
join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid > 0
                and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
join pg_class s on s.oid = d.objid and s.relkind = 'S'
group by 1
order by 1;

-- name: published
-- What a publication makes of these tables, however they came into it. cut: by a row filter or a column list.
select p.schemaname || '.' || p.tablename as table,
       p.rowfilter is not null
           or exists (select from pg_publication_rel r
                      join pg_publication b on b.oid = r.prpubid and b.pubname = p.pubname
                      where r.prrelid = c.oid and r.prattrs is not null) as cut,
       format('%%I.%%I', p.schemaname, p.tablename) as quoted
from pg_publication_tables p
join pg_namespace n on n.nspname = p.schemaname
join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
where p.pubname = %(publication)s
order by 1;

-- name: rights
-- What the target's role needs besides the mapped tables, each with the statement that grants it; null where it has it.
-- The control schema is made by the role where it is not there, and must be usable where it is.
select case when not has_database_privilege(current_database(), 'temporary')
            then format('GRANT TEMPORARY ON DATABASE %%I TO %%I', current_database(), current_user) end as temporary,
       case when n.oid is null and not has_database_privilege(current_database(), 'create')
            then format('GRANT CREATE ON DATABASE %%I TO %%I', current_database(), current_user) end as create_schema,
       case when n.oid is not null
                 and not (has_schema_privilege(n.oid, 'usage') and has_schema_privilege(n.oid, 'create'))
            then format('GRANT USAGE, CREATE ON SCHEMA %%I TO %%I', n.nspname, current_user) end as use_schema,
       case when exists (
                select from pg_class c
                cross join unnest(array['select', 'insert', 'update', 'delete']) p (privilege)
                where c.relnamespace = n.oid and c.relkind = 'r' and not has_table_privilege(c.oid, p.privilege))
            then format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %%I TO %%I', n.nspname, current_user)
       end as use_tables,
       case when not has_parameter_privilege('session_replication_role', 'set')
            then format('GRANT SET ON PARAMETER session_replication_role TO %%I', current_user) end as replica_role
from (select %(control)s::name as name) w
left join pg_namespace n on n.nspname = w.name;

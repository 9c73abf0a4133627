-- The source's side of the change stream: its publication and its replication slot.

-- name: publication
-- partial: something besides whole tables is in it (all tables, a schema, a row filter, a column list).
select coalesce(obj_description(p.oid, 'pg_publication'), '') as comment,
       p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate and p.pubviaroot as complete,
       p.puballtables
           or exists (select from pg_publication_namespace s where s.pnpubid = p.oid)
           or exists (select from pg_publication_rel r where r.prpubid = p.oid
                      and (r.prqual is not null or r.prattrs is not null)) as partial,
       coalesce((
           select array_agg(array[n.nspname::text, c.relname::text])
           from pg_publication_rel r
           join pg_class c on c.oid = r.prrelid
           join pg_namespace n on n.oid = c.relnamespace
           where r.prpubid = p.oid
       ), '{}') as tables
from pg_publication p
where p.pubname = %(name)s;

-- name: slot_state
-- Positions as numbers: 64-bit distances from 0/0. A standby compares with what it has received.
select s.active,
       s.active_pid,
       (s.confirmed_flush_lsn - '0/0'::pg_lsn)::bigint as confirmed_flush_lsn,
       (s.restart_lsn - '0/0'::pg_lsn)::bigint as restart_lsn,
       (case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end
           - s.restart_lsn)::bigint as retained_bytes,
       s.wal_status,
       s.plugin::text as plugin,
       s.database::text as database
from pg_replication_slots s
where s.slot_name = %(slot)s;

-- name: drop_slot
select pg_drop_replication_slot(%(slot)s);

-- name: partition_identities
-- Partitions whose rows are identified otherwise than their parent's: each partition has a setting of its own, and it is
-- the one that decides.
select n.nspname || '.' || c.relname as parent,
       pn.nspname || '.' || part.relname as partition,
       format('%%I.%%I', pn.nspname, part.relname) as quoted
from unnest(%(schemas)s::name[], %(names)s::name[]) as w (schema, name)
join pg_namespace n on n.nspname = w.schema
join pg_class c on c.relnamespace = n.oid and c.relname = w.name and c.relkind = 'p'
cross join lateral pg_partition_tree(c.oid) t
join pg_class part on part.oid = t.relid and part.relkind = 'r'
join pg_namespace pn on pn.oid = part.relnamespace
where part.relreplident <> c.relreplident
order by 1, 2;

-- Replication slots.

-- name: slot
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

-- name: session
-- Who reads from the slot, told apart from who did before: a process id and when it began, where that may be seen. The
-- log's end and the oldest transaction that is still running, both at this moment.
select s.active_pid || '@' || coalesce(extract(epoch from r.backend_start)::text, '') as session,
       coalesce((s.confirmed_flush_lsn - '0/0'::pg_lsn)::bigint, 0) as confirmed,
       (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint as position,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest_xid
from pg_replication_slots s
left join pg_stat_replication r on r.pid = s.active_pid
where s.slot_name = %(slot)s and s.active;

-- name: drop_slot
select pg_drop_replication_slot(%(slot)s);

-- The source's side of the change stream: its publication.

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

"""The words of MariaDB's expressions: which are syntax, which name a unit of time, which are steady functions.

The server has no catalogue that says which functions give the same answer on every run, so the list is written here; a
test compares it with the server's own list of functions.
"""

from __future__ import annotations

from mappers.grammar import Words
from mappers.names import words

UNITS = words(
    "microsecond second minute hour day week month quarter year second_microsecond minute_microsecond minute_second "
    "hour_microsecond hour_second hour_minute day_microsecond day_second day_minute day_hour year_month"
)
CHARACTER_SETS = words("utf8mb4 utf8mb3 latin1 ascii binary")

STEADY = words(
    "abs acos add_months adddate addtime ascii asin atan atan2 bin bit_count bit_length ceil ceiling char_length "
    "character_length chr concat concat_ws conv cos cot crc32 crc32c date date_add date_format date_sub datediff day "
    "dayname dayofmonth dayofweek dayofyear degrees elt exp export_set field find_in_set floor format from_base64 "
    "from_days from_unixtime hex hour inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr is_ipv4 is_ipv4_compat "
    "is_ipv4_mapped is_ipv6 isnull json_array json_array_append json_array_insert json_compact json_contains "
    "json_contains_path json_depth json_detailed json_equals json_exists json_extract json_insert json_keys "
    "json_length json_loose json_merge_patch json_merge_preserve json_normalize json_object json_overlaps json_pretty "
    "json_query json_quote json_remove json_replace json_search json_set json_type json_unquote json_valid json_value "
    "last_day lcase left length lengthb ln locate log log10 log2 lower lpad ltrim make_set makedate maketime md5 "
    "microsecond mid minute mod month monthname nvl nvl2 oct octet_length ord period_add period_diff pi pow power "
    "quarter quote radians regexp_instr regexp_replace regexp_substr repeat replace reverse right round rpad rtrim "
    "sec_to_time second sha sha1 sha2 sign sin soundex space sqrt str_to_date strcmp subdate substr substring_index "
    "subtime tan time time_format time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_char to_days "
    "to_seconds truncate ucase unhex upper week weekday weekofyear year yearweek"
)
"""dayname, monthname, date_format, to_char, week, yearweek and from_unixtime are steady because sessions pin the
language, the first day of a week and the time zone."""
STEADY_IN_MYSQL = words("bin_to_uuid is_uuid regexp_like uuid_to_bin")
"""MySQL has these, MariaDB has not. Not run against MySQL."""

UNSTEADY = words(
    "now sysdate curdate curtime current_date current_time current_timestamp localtime localtimestamp utc_date "
    "utc_time utc_timestamp rand uuid uuid_short uuid_v4 uuid_v7 sys_guid random_bytes user current_user current_role "
    "session_user system_user database schema version connection_id last_insert_id found_rows row_count rownum "
    "lastval nextval setval sleep benchmark get_lock release_lock release_all_locks is_free_lock is_used_lock "
    "load_file charset collation coercibility encrypt master_pos_wait master_gtid_wait"
)
AGGREGATES = words(
    "count sum avg min max group_concat json_arrayagg json_objectagg bit_and bit_or bit_xor std stddev stddev_pop "
    "stddev_samp var_pop var_samp variance median rank dense_rank row_number lag lead first_value last_value nth_value "
    "ntile percent_rank cume_dist percentile_cont percentile_disc any_value"
)
_RESERVED = words(
    "select with union except intersect table where group having order limit offset fetch into create grant on join "
    "lateral returning default current_user current_role current_date current_time current_timestamp localtime "
    "localtimestamp utc_date utc_time utc_timestamp distinct binary against"
)
WORDS = Words(
    keywords=words(
        "and or xor not case when then else end in is null true false like between div regexp rlike collate as both "
        "leading trailing from for"
    ),
    reserved=_RESERVED,
    refused=_RESERVED
    | words("values over filter update delete drop alter row exists match any all some using using array"),
    syntax=words("coalesce nullif greatest least ifnull if cast convert char extract position substring trim in"),
    unsteady=UNSTEADY,
    typed_literals=words("date time timestamp"),
    collations=("utf8mb4_nopad_bin", "utf8mb4_bin", "utf8mb4_0900_bin"),
)

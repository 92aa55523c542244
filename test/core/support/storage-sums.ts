/** The tenants whose row in tenant_storage is not what their other rows add up to: the triggers' work, done over. */
export const wrongSums = `with records(tenant_id, bytes) as (
    select blobs.tenant_id, 512 + octet_length(path) * 2 + octet_length(name) * 2 + octet_length(content_type) + octet_length(metadata)
      from artifacts join blobs on blobs.id = blob_id
    union all select tenant_id, 512 + octet_length(name) + octet_length(metadata) from disks
    union all select tenant_id, 512 + octet_length(identifier) * 2 from users
    union all select tenant_id, 512 + octet_length(name) + octet_length(description) + coalesce(octet_length(metadata), 0) from skills
    union all select tenant_id, 1024 + octet_length(path) + octet_length(name) + coalesce(octet_length(content_type), 0)
      + coalesce(octet_length(metadata), 0) from uploads
    union all select tenant_id, 256 from upload_parts),
  sizes(tenant_id, condemned, bytes) as (
    select tenant_id, condemned_at_ms is not null, size_bytes from blobs where refs > 0 or condemned_at_ms is not null
    union all select tenant_id, 0, size_bytes from upload_parts
    union all select tenant_id, state = 'deleted', size_bytes from snapshots),
  expected as (select id,
    (select coalesce(sum(bytes), 0) from sizes where tenant_id = tenants.id and not condemned) as bytes,
    (select coalesce(sum(bytes), 0) from records where tenant_id = tenants.id) as record_bytes,
    (select coalesce(sum(bytes), 0) from sizes where tenant_id = tenants.id and condemned) as condemned_bytes,
    (select count(*) from sizes where tenant_id = tenants.id and condemned) as condemned_count from tenants)
  select * from expected left join tenant_storage as kept on kept.tenant_id = expected.id
    where (kept.bytes, kept.record_bytes, kept.condemned_bytes, kept.condemned_count)
      is not (expected.bytes, expected.record_bytes, expected.condemned_bytes, expected.condemned_count)`;

CREATE TABLE `artifacts` (
	`id` text PRIMARY KEY NOT NULL,
	`disk_id` text NOT NULL,
	`path` text NOT NULL,
	`name` text NOT NULL,
	`blob_id` text NOT NULL,
	`size_bytes` integer NOT NULL,
	`content_type` text NOT NULL,
	`metadata` text NOT NULL,
	`etag` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`updated_at_ms` integer NOT NULL,
	FOREIGN KEY (`disk_id`) REFERENCES `disks`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `artifacts_place` ON `artifacts` (`disk_id`,`path`,`name`);--> statement-breakpoint
CREATE TABLE `blobs` (
	`id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`digest` text,
	`size_bytes` integer NOT NULL,
	`refs` integer NOT NULL,
	`created_at_ms` integer NOT NULL,
	`condemned_at_ms` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `blobs_live` ON `blobs` (`tenant_id`,`digest`) WHERE condemned_at_ms is null;--> statement-breakpoint
CREATE INDEX `blobs_condemned` ON `blobs` (`condemned_at_ms`);--> statement-breakpoint
CREATE TABLE `disks` (
	`id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`user_id` text,
	`purpose` text NOT NULL,
	`name` text NOT NULL,
	`metadata` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`updated_at_ms` integer NOT NULL,
	FOREIGN KEY (`tenant_id`) REFERENCES `tenants`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `disks_tenant` ON `disks` (`tenant_id`,`purpose`,`created_at_ms`,`id`);--> statement-breakpoint
CREATE INDEX `disks_user` ON `disks` (`user_id`);--> statement-breakpoint
CREATE TABLE `orphans` (
	`key` text PRIMARY KEY NOT NULL,
	`size_bytes` integer NOT NULL,
	`uploaded_at_ms` integer NOT NULL,
	`found_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `skills` (
	`id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`user_id` text,
	`disk_id` text NOT NULL,
	`name` text NOT NULL,
	`description` text NOT NULL,
	`metadata` text,
	`created_at_ms` integer NOT NULL,
	`updated_at_ms` integer NOT NULL,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`disk_id`) REFERENCES `disks`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `skills_tenant` ON `skills` (`tenant_id`,`created_at_ms`,`id`);--> statement-breakpoint
CREATE INDEX `skills_user` ON `skills` (`user_id`);--> statement-breakpoint
CREATE INDEX `skills_disk` ON `skills` (`disk_id`);--> statement-breakpoint
CREATE TABLE `tenant_storage` (
	`tenant_id` text PRIMARY KEY NOT NULL,
	`bytes` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `upload_parts` (
	`upload_id` text NOT NULL,
	`part` integer NOT NULL,
	`tenant_id` text NOT NULL,
	`etag` text NOT NULL,
	`digest` text NOT NULL,
	`size_bytes` integer NOT NULL,
	PRIMARY KEY(`upload_id`, `part`),
	FOREIGN KEY (`upload_id`) REFERENCES `uploads`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `uploads` (
	`id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`disk_id` text NOT NULL,
	`path` text NOT NULL,
	`name` text NOT NULL,
	`blob_id` text NOT NULL,
	`multipart_id` text NOT NULL,
	`part_bytes` integer NOT NULL,
	`content_type` text,
	`metadata` text,
	`way` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`expires_at_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `uploads_tenant` ON `uploads` (`tenant_id`);--> statement-breakpoint
CREATE INDEX `uploads_expires` ON `uploads` (`expires_at_ms`);--> statement-breakpoint
CREATE TABLE `users` (
	`id` text PRIMARY KEY NOT NULL,
	`tenant_id` text NOT NULL,
	`identifier` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`updated_at_ms` integer NOT NULL,
	FOREIGN KEY (`tenant_id`) REFERENCES `tenants`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `users_identifier` ON `users` (`tenant_id`,`identifier`);--> statement-breakpoint
CREATE INDEX `users_tenant` ON `users` (`tenant_id`,`created_at_ms`,`id`);--> statement-breakpoint
ALTER TABLE `tenants` ADD `max_storage_bytes` integer DEFAULT 107374182400 NOT NULL;
ALTER TABLE `sandboxes` ADD `memory_kept` integer;--> statement-breakpoint
ALTER TABLE `sandboxes` ADD `memory_freed` integer;
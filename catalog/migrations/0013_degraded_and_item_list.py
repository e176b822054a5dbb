from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0012_bundles'),
    ]

    operations = [
        migrations.AddField(
            model_name='job',
            name='degraded',
            field=models.BooleanField(db_default=False, default=False, help_text='Whether the index had a backlog: what was stored just before may be missing.'),
        ),
        migrations.AddIndex(
            model_name='item',
            index=models.Index(fields=['merchant', '-created_at', 'id'], name='item_list'),
        ),
    ]

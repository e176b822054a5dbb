from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0014_quality'),
    ]

    operations = [
        migrations.AddField(
            model_name='idempotencyrecord',
            name='made',
            field=models.UUIDField(help_text='The id of what the request makes, the same however often it is taken up again.', null=True),
        ),
    ]

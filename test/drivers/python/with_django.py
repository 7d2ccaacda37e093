"""Django's ORM. Each thread has a connection of its own; Django sets the time zone on each, by SQL."""
import django
from django.conf import settings as django_settings

from checks import CLIENTS, DATABASE, HOST, PASSWORD, PORT, ROUNDS, USER, all_clients, equal, raises, run

ZONE = "Europe/Berlin"  # not the server's
django_settings.configure(
    USE_TZ=False, TIME_ZONE=ZONE, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", INSTALLED_APPS=[],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": HOST, "PORT": PORT, "USER": USER, "PASSWORD": PASSWORD,
                           "NAME": DATABASE, "CONN_MAX_AGE": None, "OPTIONS": {"sslmode": "disable"}}})
django.setup()

from django.db import IntegrityError, ProgrammingError, connection, models, transaction  # noqa: E402
from django.db.models import Avg, Count, F, Q, Sum  # noqa: E402


class Shop(models.Model):
    name = models.CharField(max_length=100, unique=True)

    class Meta:
        app_label = "drivers"
        db_table = "django_shops"


class Sale(models.Model):
    shop = models.ForeignKey(Shop, models.CASCADE, related_name="sales")
    owner = models.IntegerField(db_index=True)
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    note = models.JSONField(default=dict)

    class Meta:
        app_label = "drivers"
        db_table = "django_sales"


def fresh_tables():
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS django_sales, django_shops")
    with connection.schema_editor() as editor:
        editor.create_model(Shop)
        editor.create_model(Sale)
    connection.close()


def closing(work):
    """Connections belong to threads: each closes its own."""
    def wrapped(number):
        try:
            return work(number)
        finally:
            connection.close()
    return wrapped


def workers():
    fresh_tables()

    @closing
    def work(number):
        shop = Shop.objects.create(name="shop %d" % number)
        for n in range(ROUNDS):
            with transaction.atomic():
                Sale.objects.create(shop=shop, owner=number, amount=n, note={"n": n})
                sums = Sale.objects.filter(owner=number).aggregate(count=Count("id"), total=Sum("amount"))
                equal((sums["count"], int(sums["total"])), (n + 1, n * (n + 1) // 2))
            equal(Sale.objects.get(owner=number, note__n=n).amount, n)
        Sale.objects.bulk_create([Sale(shop=shop, owner=number, amount=100) for _ in range(50)])
        equal(Sale.objects.filter(Q(owner=number) & ~Q(amount__lt=100)).count(), 50)
        grouped = Sale.objects.filter(shop__name=shop.name).values("shop__name").annotate(n=Count("id"))
        equal(list(grouped), [{"shop__name": shop.name, "n": ROUNDS + 50}])

    all_clients(work)
    equal(Sale.objects.count(), CLIENTS * (ROUNDS + 50))
    connection.close()


def one_counter_for_all():
    fresh_tables()
    shop = Shop.objects.create(name="all")
    Sale.objects.create(shop=shop, owner=-1, amount=0)
    connection.close()

    @closing
    def work(number):
        for n in range(ROUNDS):
            if n % 2:
                Sale.objects.filter(owner=-1).update(amount=F("amount") + 1)
            else:
                with transaction.atomic():
                    sale = Sale.objects.select_for_update().get(owner=-1)
                    sale.amount += 1
                    sale.save()

    all_clients(work)
    equal(Sale.objects.get(owner=-1).amount, CLIENTS * ROUNDS)
    connection.close()


def transactions():
    fresh_tables()
    Shop.objects.create(name="one")
    try:
        with transaction.atomic():
            Shop.objects.create(name="two")
            try:
                with transaction.atomic():
                    Shop.objects.create(name="one")
                raise AssertionError("no IntegrityError")
            except IntegrityError:
                pass
            Shop.objects.create(name="three")
            with transaction.atomic():
                Shop.objects.create(name="four")
                transaction.set_rollback(True)
    finally:
        equal(sorted(Shop.objects.values_list("name", flat=True)), ["one", "three", "two"])
        connection.close()


def errors():
    def wrong():
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM nowhere_to_be_found")

    for n in range(3):
        raises(ProgrammingError, wrong)
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s", [n])
            equal(cursor.fetchone(), (n,))
    connection.close()


def the_time_zone_stays():
    @closing
    def work(number):
        for n in range(ROUNDS):
            with connection.cursor() as cursor:
                cursor.execute("SHOW TimeZone")
                equal(cursor.fetchone(), (ZONE,))
                cursor.execute("SELECT '2024-07-01 12:00+00'::timestamptz::text")
                equal(cursor.fetchone(), ("2024-07-01 14:00:00+02",))

    all_clients(work)


def iterators_in_a_transaction():
    fresh_tables()
    shop = Shop.objects.create(name="all")
    Sale.objects.bulk_create([Sale(shop=shop, owner=i, amount=i) for i in range(500)])
    with transaction.atomic():
        equal([sale.owner for sale in Sale.objects.order_by("owner").iterator(chunk_size=20)], list(range(500)))
    equal(int(Sale.objects.aggregate(a=Avg("owner"))["a"]), 249)
    connection.close()


def iterators_outside_of_a_transaction():
    """By a cursor WITH HOLD."""
    fresh_tables()
    shop = Shop.objects.create(name="all")
    Sale.objects.bulk_create([Sale(shop=shop, owner=i, amount=i) for i in range(500)])
    seen = []
    for sale in Sale.objects.order_by("owner").iterator(chunk_size=20):
        seen.append(sale.owner)
        if sale.owner % 100 == 0:
            equal(Shop.objects.count(), 1)
    equal(seen, list(range(500)))
    connection.close()


run(workers, one_counter_for_all, transactions, errors, the_time_zone_stays, iterators_in_a_transaction, iterators_outside_of_a_transaction)

"""SQLAlchemy's ORM and its pool, over each dialect that is installed: psycopg2, psycopg 3 (from SQLAlchemy 2 on) and asyncpg."""

import sqlalchemy
from sqlalchemy import Column, ForeignKey, Integer, String, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.orm import declarative_base, relationship, selectinload, sessionmaker

from checks import CLIENTS, DATABASE, HOST, PASSWORD, PORT, ROUNDS, USER, all_clients, all_tasks, equal, raises, run

Base = declarative_base()


class Author(Base):
    __tablename__ = "sqlalchemy_authors"
    id = Column(Integer, primary_key=True)
    name = Column(String, unique=True)
    books = relationship("Book", back_populates="author", cascade="all, delete-orphan", order_by="Book.title")


class Book(Base):
    __tablename__ = "sqlalchemy_books"
    id = Column(Integer, primary_key=True)
    title = Column(String)
    read = Column(Integer, default=0)
    author_id = Column(ForeignKey("sqlalchemy_authors.id"))
    author = relationship("Author", back_populates="books")


def url(dialect):
    return sqlalchemy.engine.URL.create("postgresql+" + dialect, USER, PASSWORD, HOST, PORT, DATABASE)


def engine(dialect, **more):
    return sqlalchemy.create_engine(url(dialect), pool_size=CLIENTS, max_overflow=0, future=True, connect_args={"sslmode": "disable"}, **more)


def fresh_tables(dialect):
    mine = engine(dialect)
    Base.metadata.drop_all(mine)
    Base.metadata.create_all(mine)
    return mine


def workers(dialect):
    mine = fresh_tables(dialect)
    Session = sessionmaker(mine, future=True)

    def work(number):
        for n in range(ROUNDS):
            with Session() as session, session.begin():
                name = "author %d-%d" % (number, n)
                session.add(Author(name=name, books=[Book(title="book %d" % i) for i in range(3)]))
            with Session() as session:
                author = session.execute(select(Author).options(selectinload(Author.books)).where(Author.name == name)).scalar_one()
                equal([book.title for book in author.books], ["book 0", "book 1", "book 2"])
                author.books[0].read = 10 * number + n
                session.commit()
                equal(session.get(Book, author.books[0].id).read, 10 * number + n)

    all_clients(work)
    with Session() as session:
        equal(session.execute(select(func.count()).select_from(Book)).scalar(), 3 * CLIENTS * ROUNDS)
    mine.dispose()


def transactions(dialect):
    mine = fresh_tables(dialect)
    Session = sessionmaker(mine, future=True)
    with Session() as session:
        session.add(Author(name="one"))
        session.flush()
        with raises_inside(IntegrityError):
            with session.begin_nested():
                session.add(Author(name="one"))
                session.flush()
        session.add(Author(name="two"))
        session.commit()
        session.add(Author(name="three"))
        session.flush()
        session.rollback()
        equal(sorted(session.execute(select(Author.name)).scalars()), ["one", "two"])
    mine.dispose()


def isolation_levels(dialect):
    mine = engine(dialect)

    def work(number):
        level = ("SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED")[number % 3]
        for _ in range(ROUNDS // 2):
            with mine.connect().execution_options(isolation_level=level) as connection:
                equal(connection.execute(text("SHOW transaction_isolation")).scalar(), level.lower())
            with mine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                equal(connection.execute(text("SELECT :n + 0"), {"n": number}).scalar(), number)

    all_clients(work)
    mine.dispose()


def errors(dialect):
    mine = engine(dialect)
    with mine.connect() as connection:
        for _ in range(3):
            raises(ProgrammingError, lambda: connection.execute(text("SELECT * FROM nowhere_to_be_found")))
            connection.rollback()
            equal(connection.execute(text("SELECT :n + 1"), {"n": 1}).scalar(), 2)
            connection.rollback()
    mine.dispose()


def server_side_cursors(dialect):
    mine = engine(dialect)
    with mine.connect().execution_options(stream_results=True, max_row_buffer=50) as connection:
        rows = connection.execute(text("SELECT g FROM generate_series(1, 1000) g"))
        equal([row[0] for row in rows], list(range(1, 1001)))
    mine.dispose()


def a_ping_before_each_use(dialect):
    mine = engine(dialect, pool_pre_ping=True)
    for n in range(ROUNDS):
        with mine.connect() as connection:
            equal(connection.execute(text("SELECT :n + 0"), {"n": n}).scalar(), n)
    mine.dispose()


def raises_inside(kind):
    class Expect:
        def __enter__(self):
            return self

        def __exit__(self, got, *_):
            if got is None:
                raise AssertionError("no %s" % kind.__name__)
            return issubclass(got, kind)
    return Expect()


def async_engine():
    from sqlalchemy.ext.asyncio import create_async_engine
    return create_async_engine(url("asyncpg"), pool_size=CLIENTS, max_overflow=0, connect_args={"ssl": False})


async def asyncpg_workers():
    from sqlalchemy.ext.asyncio import AsyncSession
    mine = async_engine()
    async with mine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)

    async def work(number):
        for n in range(ROUNDS):
            name = "author %d-%d" % (number, n)
            async with AsyncSession(mine) as session, session.begin():
                session.add(Author(name=name, books=[Book(title="book %d" % i) for i in range(3)]))
            async with AsyncSession(mine) as session:
                author = (await session.execute(select(Author).options(selectinload(Author.books)).where(Author.name == name))).scalar_one()
                equal([book.title for book in author.books], ["book 0", "book 1", "book 2"])
                await session.rollback()

    await all_tasks(work)
    async with mine.connect() as connection:
        equal((await connection.execute(select(func.count()).select_from(Book))).scalar(), 3 * CLIENTS * ROUNDS)
    await mine.dispose()


async def asyncpg_isolation_levels():
    mine = async_engine()

    async def work(number):
        level = ("SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED")[number % 3]
        for _ in range(ROUNDS // 2):
            async with mine.connect() as connection:
                await connection.execution_options(isolation_level=level)
                equal((await connection.execute(text("SHOW transaction_isolation"))).scalar(), level.lower())

    await all_tasks(work)
    await mine.dispose()


async def asyncpg_errors():
    mine = async_engine()
    async with mine.connect() as connection:
        for _ in range(3):
            try:
                await connection.execute(text("SELECT 1/(:n - 1)"), {"n": 1})
                raise AssertionError("no error")
            except DBAPIError as problem:
                equal(problem.orig.sqlstate, "22012")
            await connection.rollback()
            equal((await connection.execute(text("SELECT CAST(:n AS int)"), {"n": 1})).scalar(), 1)
            await connection.rollback()
    await mine.dispose()


def for_dialect(dialect):
    checks = []
    for check in (workers, transactions, isolation_levels, errors, server_side_cursors, a_ping_before_each_use):
        def bound(check=check):
            check(dialect)
        bound.__name__ = "%s_%s" % (dialect, check.__name__)
        checks.append(bound)
    return checks


DIALECTS = ("psycopg2", "psycopg") if sqlalchemy.__version__ >= "2" else ("psycopg2",)
try:
    import psycopg2  # noqa: F401
except ImportError:
    DIALECTS = DIALECTS[1:]

run(*(check for dialect in DIALECTS for check in for_dialect(dialect)), asyncpg_workers, asyncpg_isolation_levels, asyncpg_errors)

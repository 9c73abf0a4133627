"""What words in table and column names mean: abbreviations, spellings, phrases, and words that must not be confused.

Only what is so in nearly every schema stands here. What depends on the schema (is `inv` an invoice or an inventory?) is
left to `similarity.py`, which asks what the other side has.
"""

from __future__ import annotations

from mappers.names import words


def _pairs(text: str) -> dict[str, str]:
    """`short=long` a word."""
    return dict(pair.split("=") for pair in text.split())


def _phrases(text: str) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """`some words:others;` each."""
    halves = [pair.partition(":") for pair in " ".join(text.split()).split("; ")]
    return tuple((tuple(before.split()), tuple(after.split())) for before, _, after in halves)


ABBREVIATIONS = _pairs(
    "abbr=abbreviation acct=account acnt=account addr=address adr=address adrs=address admin=administrator "
    "amt=amount amnt=amount appt=appointment approx=approximate attr=attribute avg=average bal=balance bday=birthdate "
    "bldg=building calc=calculated cat=category categ=category ccy=currency cert=certificate cfg=config chk=check "
    "cnt=count cntry=country ctry=country cmd=command cmnt=comment cmt=comment coeff=coefficient comm=commission "
    "configuration=config ctgry=category cust=customer cstmr=customer dept=department "
    "desc=description descr=description dscr=description descrip=description dest=destination "
    "diff=difference div=division doc=document dur=duration emp=employee empl=employee "
    "enq=enquiry env=environment err=error evt=event fld=field freq=frequency geo=geography grp=group "
    "hdr=header ht=height hrs=hour img=image impl=implementation info=information "
    "lang=language lat=latitude len=length lib=library lic=license lng=longitude lon=longitude "
    "lvl=level maint=maintenance max=maximum mfg=manufacturer mfr=manufacturer mgr=manager mgmt=management min=minimum "
    "mins=minute msg=message mth=month mnth=month nbr=number nm=name notif=notification nr=number "
    "num=number obj=object opt=option ord=order org=organization orig=original "
    "param=parameter pct=percent percentage=percent perc=percent perm=permission pic=picture pkg=package "
    "pmt=payment pymt=payment pos=position pref=preference prev=previous priv=privilege prod=product proj=project "
    "ptr=pointer pwd=password passwd=password pw=password qnty=quantity qty=quantity qry=query "
    "rcpt=receipt rcv=receive "
    "recv=receive ref=reference refno=reference resp=response "
    "rsrc=resource sal=salary sched=schedule seq=sequence sess=session sku=sku spec=specification "
    "src=source srv=server stmt=statement sts=status subj=subject supp=supplier svc=service sz=size tgt=target "
    "tmp=temporary tok=token trx=transaction txn=transaction tz=timezone txt=text typ=type "
    "usr=user util=utility val=value vend=vendor ver=version vol=volume wh=warehouse whse=warehouse wt=weight yr=year "
    "guid=uuid uid=uid login=login telephone=phone tel=phone phn=phone mobile=mobile maximum=maximum url=url "
    "dob=birthdate birthday=birthdate surname=lastname lname=lastname forename=firstname fname=firstname "
    "mname=middlename zip=zipcode postcode=zipcode postalcode=zipcode plz=zipcode mail=email useragent=useragent "
    "colour=color centre=center licence=license cancelled=canceled favourite=favorite behaviour=behavior fav=favorite "
    "catalogue=catalog programme=program cheque=check grey=gray organisation=organization authorisation=authorization "
    "labour=labor metre=meter travelled=traveled labelled=labeled enrolment=enrollment fulfilment=fulfillment "
    "judgement=judgment artefact=artifact jewellery=jewelry tyre=tire defence=defense ctr=center "
    "vat=vat cd=code ip=ip ipaddress=ip ipaddr=ip timestamp=timestamp desig=designation "
    "thumb=thumbnail thumbnail=thumbnail avail=available dob1=birthdate subcat=subcategory "
    ""
)
"""Word -> the word that stands for both. A word that maps to itself is known and is not taken apart."""

PHRASES = _phrases(
    """
    first name:firstname; given name:firstname; givenname:firstname; last name:lastname; family name:lastname;
    familyname:lastname; middle name:middlename; full name:fullname; display name:displayname;
    zip code:zipcode; postal code:zipcode; post code:zipcode; e mail:email; email address:email;
    emailaddress:email; mail address:email; phone number:phone; number phone:phone; phone no:phone;
    phonenumber:phone; mobile phone:mobile; mobile number:mobile; mobile no:mobile; cell phone:mobile;
    cellphone:mobile; phone mobile:mobile; phone cell:mobile; fax number:fax; fax no:fax;
    date of birth:birthdate; birth date:birthdate; date birth:birthdate; birth day:birthdate;
    hashed password:passwordhash; password hash:passwordhash; encrypted password:passwordhash;
    password digest:passwordhash; password encrypted:passwordhash; hash password:passwordhash;
    password crypted:passwordhash; crypted password:passwordhash; ip address:ip; remote ip:ip;
    time zone:timezone; user agent:useragent; web site:website; user name:username; home page:homepage;
    login name:loginname; date add:created; date upd:updated; time stamp:timestamp; file name:filename;
    sort order:sortorder; display order:displayorder; address line:address; country iso:country code
    """
)
"""Words side by side -> the words that stand for them."""

CREATED = words("create created creation creating insert inserted added crtd")
UPDATED = words("update updated updating modify modified modification changed lastmod lastupdate lastupdated upd")
DELETED = words("delete deleted deletion")
STAMPS = {"ctime": "created", "mtime": "updated", "lastmodified": "updated", "createtime": "created",
          "updatetime": "updated"}  # fmt: skip
TIME_NOISE = words("at on date time datetime timestamp ts dt tm tms utc dttm dtm")
"""What only says that a column is a time."""
FLAG_NOISE = words("is flag flg ind indicator yn bool boolean flagged")
"""What only says that a column is yes or no."""
WEAK_NOISE = words("amount value data info information text string number full detail the of field name id")
"""What says little beside another word: `tax` and `tax_amount`."""
NOISE = words("code type date time at key no")
"""What says a little more."""
ID_WORDS = words("id uid uuid key number no nr code")
"""What an identifier may be called."""
FORMER = words("legacy old original source previous former migrated")
"""With `id`: a column that keeps the key which a row had in the old database."""

HUNGARIAN = words("str int dt n s b i d c f fk pk txt num chk bln dbl lng sz v vc dte flt dec bool bit cur col fld l m")
"""Prefixes that name a column's type."""
TABLE_PREFIXES = words("tbl tb t tab table tbls app")
TABLE_SUFFIXES = words("tbl tb t tab table tbls mst mstr master header hdr entity")
"""What only says that a thing is a table."""

CONTRAST = words(
    "start end begin finish from to min minimum max maximum first last old new prev previous next billing bill "
    "shipping ship home work office business private public parent child left right top bottom lower upper up down in "
    "out created updated deleted sender receiver recipient source target origin destination input output read write "
    "buyer seller owner author editor reviewer approver primary secondary tertiary main alternate alternative backup "
    "before after low high gross net local remote internal external debit credit inbound outbound incoming outgoing "
    "actual planned expected estimated requested approved rejected current original temporary temp archive archived "
    "history historical log audit draft published staging stage snapshot bak copy deleted short long day week month "
    "year mother father male female present absent open close opened closed by total sub avg average count sum "
    "subtotal tax discount unit sale sales purchase purchased regular special enabled disabled active inactive "
    "valid invalid visible hidden expired expires north south east west arrival departure depart arrive check "
    "debtor creditor winner loser width height depth length latitude longitude mobile fax firstname lastname "
    "middlename hash salt cost price legacy base login logout"
)
"""Words that tell two columns, or two tables, apart that are otherwise alike: never dropped, never swapped."""

SYNONYMS: dict[frozenset[str], float] = {
    frozenset(pair.split("=")): strength
    for strength, text in (
        (
            0.93,
            "pay=paid paid=payment send=sent sell=sold write=written lose=lost win=won "
            "uid=uuid kind=type supplier=vendor gender=sex body=content active=enabled identifier=id login=username "
            "hash=digest "
            "passwordhash=password begin=start finish=end website=homepage company=organization picture=image "
            "photo=image photo=picture author=writer town=city staff=employee line=item detail=item detail=line "
            "sortorder=position displayorder=position sortorder=displayorder ordinal=position ordinal=sortorder "
            "uri=url link=url slug=permalink remark=comment note=comment remark=note initial=start rate=rating "
            "login=loginname username=loginname shipment=delivery article=post teacher=instructor subscriber=follower "
            "customer=client priority=importance folder=directory attachment=file",
        ),
        (
            0.8,
            "title=name title=subject status=state label=name label=title caption=title account=user member=user "
            "person=user summary=description message=body message=content text=content text=body region=state "
            "province=state province=region language=locale role=group tag=label topic=thread topic=subject "
            "product=item purchase=order quantity=count street=address brand=manufacturer customer=account "
            "contact=person birthdate=born hired=joined fullname=name displayname=name nickname=displayname "
            "comment=message note=text comment=text "
            "basket=cart visit=session payment=transaction invoice=bill trip=journey movie=film film=title "
            "parameter=setting setting=option option=preference preference=setting property=attribute meta=metadata "
            "metadata=data payload=data payload=body position=rank position=index sequence=position weight=position "
            "category=group category=type reference=code code=number reference=number avatar=image avatar=picture "
            "logo=image icon=image thumbnail=image cover=image secret=password token=code bio=description "
            "about=bio about=description biography=bio",
        ),
    )
    for pair in text.split()
}
"""Two words that often mean the same -> how often. They are never enough by themselves."""

IRREGULAR = _pairs(
    "people=person persons=person children=child men=man women=woman mice=mouse feet=foot teeth=tooth geese=goose "
    "leaves=leaf halves=half lives=life shelves=shelf wives=wife knives=knife heroes=hero potatoes=potato "
    "tomatoes=tomato echoes=echo quizzes=quiz indices=index indexes=index vertices=vertex matrices=matrix "
    "appendices=appendix criteria=criterion analyses=analysis crises=crisis theses=thesis diagnoses=diagnosis "
    "hypotheses=hypothesis axes=axis oxen=ox movies=movie cookies=cookie zombies=zombie ties=tie pies=pie dies=die "
    "calories=calorie genies=genie selfies=selfie caches=cache niches=niche headaches=headache schemata=schema "
    "corpora=corpus alumni=alumnus stimuli=stimulus cacti=cactus radii=radius syllabi=syllabus nuclei=nucleus "
    "ids=id ips=ip pks=pk ads=ad urls=url faqs=faq pdfs=pdf apis=api vats=vat buses=bus gases=gas aliases=alias "
    "canvases=canvas atlases=atlas biases=bias lenses=lens toes=toe shoes=shoe taxa=taxon phenomena=phenomenon "
    "strata=stratum sos=sos kpis=kpi skus=sku pos=pos"
)
NOT_PLURAL = words(
    "news lens gross series species alias bias canvas atlas cors https dns sms gps css aws cms tls ssl ios "
    "texas always "
    "has is was this its us bus gas yes as plus minus versus address process access business class chassis sas ups "
    "analysis basis crisis thesis axis diagnosis synopsis status campus virus bonus menus census corpus alumnus focus "
    "genus radius cactus stimulus syllabus consensus apparatus christmas kudos chaos ethos pathos tennis iris pelvis"
)

BOOKKEEPING = words(
    "schema_migrations ar_internal_metadata django_migrations alembic_version flyway_schema_history databasechangelog "
    "databasechangeloglock knex_migrations knex_migrations_lock ef_migrations_history prisma_migrations migrations "
    "phinxlog goose_db_version sequelize_meta kysely_migration kysely_migration_lock drizzle_migrations "
    "doctrine_migration_versions spatial_ref_sys typeorm_metadata schema_version schema_info play_evolutions"
)
"""Tables in which a schema keeps count of its own migrations, and what extensions fill by themselves."""
